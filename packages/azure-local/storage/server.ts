import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { LocalError } from "../errors.ts";
import { LOCAL_MEMORY_ACCOUNT_MAX_BYTES } from "../limits.ts";
import type { Azurite, AzuriteServer, StorageService } from "./azurite-modules.ts";
import { placeGate, type Gate } from "./gate.ts";
import { describeOperation, type StorageOperation } from "./operation.ts";
import { keepRedoLog, type RedoLog } from "./redo/redo-log.ts";
import { answerBusy, createBuckets, isThrottled, type Buckets, type PageBlobThrottle } from "./throttle.ts";

export interface ServerOptions {
  readonly service: StorageService;
  readonly account: string;
  readonly key: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly folder: string;
  readonly persistence: "disk" | "memory";
  /** False: Azurite saves its metadata every five seconds; a kill loses later changes. */
  readonly durable: boolean;
  /** The minimum growth of a redo log before its database is rewritten. */
  readonly redoLogMinBytes?: number | undefined;
}

export interface RunningServer {
  readonly url: string;
  readonly gate: Gate;
  /** Page blobs answer 503 beyond it; undefined: no limit, the default. */
  throttle(wanted: PageBlobThrottle | undefined): void;
  /** Throws `internal` with the cause when answers were withheld. */
  close(): Promise<void>;
}

/** How many 64 MiB extents one server writes at once, Azurite's default. */
const EXTENTS_WRITTEN_AT_ONCE = 50;

/**
 * Starts one account's blob or queue server on the loopback address. `report` runs before the redo log is written: a
 * listener's own durable state is then never behind what a client can see. Throws `port-in-use`.
 */
export async function startServer(
  azurite: Azurite,
  options: ServerOptions,
  report: (operation: StorageOperation) => void,
): Promise<RunningServer> {
  await mkdir(options.folder, { recursive: true });
  const server = buildServer(azurite, options);
  serveOnly(server, options.account, options.key);
  const redo =
    options.persistence === "disk" && options.durable ? keepRedo(server, options.redoLogMinBytes) : undefined;
  const store = server.metadataStore;
  const throttled = new WeakSet<ServerResponse>();
  let buckets: Buckets | undefined;
  const gate = placeGate(server.httpServer, {
    beforeAnswer: (request, response) => {
      report(
        describeOperation(azurite, { ...options, store, isThrottled: throttled.has(response) }, request, response),
      );
      redo?.flush();
    },
    answersItself: (request, response) => {
      if (buckets === undefined || !isThrottled(request, options.account, store, buckets)) return false;
      throttled.add(response);
      answerBusy(request, response, randomUUID());
      return true;
    },
  });
  try {
    await server.start();
  } catch (error) {
    await server.afterClose();
    throw startError(options, error);
  }
  const close = async (): Promise<void> => {
    await gate.drain();
    await redo?.close();
    const closed = once(server.httpServer, "close");
    await server.close();
    await closed;
    const cause = gate.failure();
    if (cause === undefined) return;
    const facts = { account: options.account, service: options.service };
    throw new LocalError(
      "internal",
      "Requests were cut off instead of answered, because a listener or the disk failed.",
      facts,
      {
        cause,
      },
    );
  };
  const throttle = (wanted: PageBlobThrottle | undefined): void => {
    buckets = wanted === undefined ? undefined : createBuckets(wanted);
  };
  return { url: `${server.getHttpServerAddress()}/${options.account}`, gate, throttle, close };
}

/** Refuses a taken port before touching any file of the account: the program that holds it may use the same folder. */
export async function checkPort(options: Pick<ServerOptions, "service" | "account" | "port">): Promise<void> {
  if (options.port === 0) return;
  const probe = createServer();
  try {
    probe.listen(options.port, "127.0.0.1");
    await once(probe, "listening");
  } catch (error) {
    throw startError(options, error);
  }
  probe.close();
  await once(probe, "close");
}

function buildServer(azurite: Azurite, options: ServerOptions): AzuriteServer {
  const memory = options.persistence === "memory";
  const extents = {
    locationId: "default",
    locationPath: join(options.folder, "extents"),
    maxConcurrency: EXTENTS_WRITTEN_AT_ONCE,
  };
  const [configuration, serverClass] =
    options.service === "blob"
      ? [azurite.blobConfiguration, azurite.blobServer]
      : [azurite.queueConfiguration, azurite.queueServer];
  return new serverClass(
    new configuration(
      "127.0.0.1",
      options.port,
      5, // keep-alive in seconds
      join(options.folder, "metadata.json"),
      join(options.folder, "extents.json"),
      [extents],
      false, // access log
      undefined, // access log stream
      false, // debug log
      undefined, // debug log file
      false, // loose
      false, // skip the check of the API version
      "", // certificate
      "", // its key
      "", // its password
      undefined, // OAuth needs HTTPS
      true, // accounts are in the path, never in the host name
      memory,
      memory ? new azurite.memoryChunkStore(LOCAL_MEMORY_ACCOUNT_MAX_BYTES) : undefined,
    ),
  );
}

/** Azurite takes its accounts from one process-wide variable; here each server accepts only its own account. */
function serveOnly(server: AzuriteServer, account: string, key: string): void {
  const accounts = { [account]: { name: account, key1: Buffer.from(key, "base64") } };
  server.accountDataStore.refresh = () => {
    server.accountDataStore.accounts = accounts;
  };
}

/**
 * Both databases of a server, the extents first: a page may point only to a known extent. Azurite removes extents
 * without references, so the lack of references must be durable before a file goes.
 */
function keepRedo(server: AzuriteServer, redoLogMinBytes: number | undefined): RedoLog {
  const extents = keepRedoLog(server.extentMetadataStore, redoLogMinBytes);
  const metadata = keepRedoLog(server.metadataStore, redoLogMinBytes);
  const flush = (): void => {
    extents.flush();
    metadata.flush();
  };
  const { extentStore } = server;
  const deleteExtents = extentStore.deleteExtents.bind(extentStore);
  extentStore.deleteExtents = (unused) => {
    flush();
    return deleteExtents(unused);
  };
  const close = async (): Promise<void> => {
    await extents.close();
    await metadata.close();
  };
  return { flush, close };
}

function startError(options: Pick<ServerOptions, "service" | "account" | "port">, cause: unknown): unknown {
  if (!(cause instanceof Error) || !("code" in cause) || cause.code !== "EADDRINUSE") return cause;
  const option = `${options.service}Port`;
  return new LocalError(
    "port-in-use",
    `Port ${options.port} is taken, so the ${options.service} service of account ${options.account} cannot start.`,
    { port: options.port, account: options.account, option },
    {
      cause,
      hint: `Stop the program that uses port ${options.port}, or choose another one with the option ${option} of account ${options.account}.`,
    },
  );
}

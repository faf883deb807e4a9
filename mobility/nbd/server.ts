import { lstatSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { LeewardError } from "../../replication/errors.ts";
import { NBD_CONNECTIONS_MAX, NBD_PAYLOAD_IN_FLIGHT_BYTES } from "../limits.ts";
import { listenPrivately } from "../system/private-socket.ts";
import { createByteBudget } from "./byte-budget.ts";
import { serveConnection, type NbdDisk } from "./connection.ts";
import { WIRE_ERROR, type WireError } from "./protocol.ts";

/**
 * Where clients connect. NBD has no password. Only its user can open the unix socket. TCP admits every user of this
 * machine, so it is opened only when the configuration asks for it, and anything but a loopback address is refused.
 */
export type NbdAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

export interface NbdServer {
  /** The port that TCP got (the one asked for, or the free one for port 0); undefined without TCP. */
  readonly port: number | undefined;
  /** Accepts no more clients or requests, waits for those under way, and closes every connection. */
  stop(): Promise<void>;
}

/**
 * Listens on all addresses. Throws `configuration-invalid` for a foreign address and `port-in-use` when one is taken.
 */
export async function startNbdServer(addresses: readonly NbdAddress[], disks: readonly NbdDisk[]): Promise<NbdServer> {
  const sockets = new Set<Socket>();
  const budget = createByteBudget(NBD_PAYLOAD_IN_FLIGHT_BYTES);
  let idle: (() => void) | undefined;
  let stopping = false;
  const accept = (socket: Socket): void => {
    if (stopping || sockets.size >= NBD_CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    serveConnection(socket, {
      disks,
      budget,
      wireError,
      closed: () => {
        sockets.delete(socket);
        if (sockets.size === 0) idle?.();
      },
    });
  };

  const servers: Server[] = [];
  const closeServers = async (): Promise<void> => {
    await Promise.all(servers.map((server) => new Promise<void>((resolve) => void server.close(() => resolve()))));
  };
  try {
    for (const address of addresses) servers.push(await listen(address, accept));
  } catch (error) {
    await closeServers();
    throw error;
  }
  const ports = servers
    .map((server) => server.address())
    .flatMap((address) => (typeof address === "object" && address !== null ? [address.port] : []));

  return {
    port: ports[0],
    stop: async () => {
      stopping = true;
      const closing = closeServers();
      for (const socket of sockets) socket.destroy();
      // A connection counts as closed when its last request has ended: nothing reaches the journal afterwards.
      if (sockets.size > 0) await new Promise<void>((resolve) => (idle = resolve));
      await closing;
    },
  };
}

async function listen(address: NbdAddress, accept: (socket: Socket) => void): Promise<Server> {
  if (address.kind === "tcp" && !isLoopback(address.host)) {
    throw new LeewardError("configuration-invalid", `NBD listens on loopback only, not on ${address.host}.`, {
      host: address.host,
    });
  }
  if (address.kind === "unix") await removeStaleSocket(address.path);
  // 1 MiB per read: with the default of 64 KiB large writes stall repeatedly.
  const server = createServer({ highWaterMark: 1024 * 1024, noDelay: true, allowHalfOpen: true }, accept);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(address, error)));
    if (address.kind === "unix") listenPrivately(server, address.path, resolve);
    else server.listen({ host: address.host, port: address.port }, resolve);
  });
  return server;
}

function listenError(address: NbdAddress, cause: NodeJS.ErrnoException): LeewardError {
  const where = address.kind === "unix" ? address.path : `${address.host}:${address.port}`;
  const option = address.kind === "unix" ? "nbd.socketPath" : "nbd.port";
  if (cause.code === "EADDRINUSE") return inUse(where, option);
  return new LeewardError(
    "configuration-invalid",
    `Cannot listen on ${where} (${option}): ${cause.code ?? cause.message}.`,
    {
      where,
      option,
    },
  );
}

function inUse(where: string, option: string): LeewardError {
  return new LeewardError("port-in-use", `${where} is in use; the option ${option} chooses another place.`, {
    where,
    option,
  });
}

/** Removes the socket file of a killed service; leaves one that answers, or a file of another kind, alone. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new LeewardError("configuration-invalid", `${path} (nbd.socketPath) exists and is not a socket.`, { path });
  }
  const probe = connect(path);
  const answers = await new Promise<boolean>((resolve) => {
    probe.once("connect", () => resolve(true));
    probe.once("error", () => resolve(false));
  });
  probe.destroy();
  if (answers) throw inUse(path, "nbd.socketPath");
  rmSync(path, { force: true });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** A full disk is ENOSPC, in all its variants; everything else is EIO. */
function wireError(error: unknown): WireError {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = "code" in at ? at.code : undefined;
    if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") return WIRE_ERROR.noSpace;
  }
  return WIRE_ERROR.io;
}

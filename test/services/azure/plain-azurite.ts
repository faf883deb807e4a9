import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(import.meta.url);

interface Server {
  start(): Promise<void>;
  close(): Promise<void>;
  getHttpServerAddress(): string;
}
interface Services {
  readonly BlobServer: new (configuration: object) => Server;
  readonly BlobConfiguration: new (...positional: readonly unknown[]) => object;
  readonly QueueServer: new (configuration: object) => Server;
  readonly QueueConfiguration: new (...positional: readonly unknown[]) => object;
}

/** One account of Azurite as it comes, in memory: for tests that need a service but none of the mends of local/storage. */
export async function startPlainAzurite(): Promise<{ readonly connectionString: string; close(): Promise<void> }> {
  const accountKey = randomBytes(64).toString("base64");
  process.env["AZURITE_ACCOUNTS"] = `leewardtest:${accountKey}`;
  const folder = await mkdtemp(join(tmpdir(), "leeward-azurite-"));
  const { BlobServer, BlobConfiguration, QueueServer, QueueConfiguration } = load();
  const extents = [{ locationId: "Default", locationPath: join(folder, "extents"), maxConcurrency: 10 }];
  // Host, port, keep-alive, two databases, extents, four of logs, loose, skip version check, four of TLS, disable product-style address, in memory.
  const positional = (name: string): readonly unknown[] => {
    const databases = [join(folder, `${name}.json`), join(folder, `${name}-extents.json`)];
    const log = [false, undefined, false, undefined];
    const tls = [undefined, undefined, undefined, undefined];
    return ["127.0.0.1", 0, 5, ...databases, extents, ...log, false, false, ...tls, false, true];
  };
  const blob = new BlobServer(new BlobConfiguration(...positional("blob")));
  const queue = new QueueServer(new QueueConfiguration(...positional("queue")));
  await blob.start();
  await queue.start();
  return {
    connectionString: [
      "DefaultEndpointsProtocol=http",
      "AccountName=leewardtest",
      `AccountKey=${accountKey}`,
      `BlobEndpoint=${blob.getHttpServerAddress()}/leewardtest`,
      `QueueEndpoint=${queue.getHttpServerAddress()}/leewardtest`,
    ].join(";"),
    close: async () => {
      await blob.close();
      await queue.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Azurite is CommonJS without types; its logger must be told to be silent before anything else loads. */
function load(): Services {
  const part = (path: string): unknown => require(`azurite/dist/src/${path}`);
  (part("common/Logger") as { configLogger(enabled: boolean): void }).configLogger(false);
  return {
    BlobServer: (part("blob/BlobServer") as { default: Services["BlobServer"] }).default,
    BlobConfiguration: (part("blob/BlobConfiguration") as { default: Services["BlobConfiguration"] }).default,
    QueueServer: (part("queue/QueueServer") as { default: Services["QueueServer"] }).default,
    QueueConfiguration: (part("queue/QueueConfiguration") as { default: Services["QueueConfiguration"] }).default,
  };
}

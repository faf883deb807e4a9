import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { STATUS_CLIENTS_MAX, STATUS_CLIENT_MS, STATUS_PATH_MAX_BYTES } from "../limits.ts";
import { listenPrivately } from "../system/private-socket.ts";

/**
 * A unix socket, readable by its owner only, that answers every connection with one JSON document and closes it.
 * Ignores client input. Call this with the folder's lock held: it removes the socket of a killed service. Reports a
 * failure, and the service continues without the socket.
 */
export async function startStatusSocket(
  path: string,
  status: () => object,
  failed: (reason: string) => void,
): Promise<{ stop(): void }> {
  const server = createServer((client) => {
    client.on("error", () => client.destroy());
    client.setTimeout(STATUS_CLIENT_MS, () => client.destroy());
    client.end(`${JSON.stringify(status())}\n`);
  });
  server.maxConnections = STATUS_CLIENTS_MAX;
  const stop = (): void => {
    server.close();
    rmSync(path, { force: true });
  };
  if (Buffer.byteLength(path) > STATUS_PATH_MAX_BYTES) {
    failed(`the path of the state folder is longer than ${STATUS_PATH_MAX_BYTES} bytes with the socket's name`);
    return { stop: () => undefined };
  }
  rmSync(path, { force: true });
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      failed(error.code ?? error.message);
      resolve({ stop: () => undefined });
    });
    // The folder is private too; the socket is private in any case, for folders that an operator has opened.
    listenPrivately(server, path, () => {
      server.unref();
      resolve({ stop });
    });
  });
}

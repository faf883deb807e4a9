import type { Server } from "node:net";

/**
 * Listens on a unix socket that only its user can connect to, from its first moment on: bind(2) makes it with the umask
 * of the process, and node calls that before `listen` returns. A chmod afterwards would leave a moment in which
 * everybody can connect.
 */
export function listenPrivately(server: Server, path: string, listening: () => void): void {
  const before = process.umask(0o177);
  try {
    server.listen({ path }, listening);
  } finally {
    process.umask(before);
  }
}

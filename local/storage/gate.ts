import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { STORAGE_CLOSE_MS } from "../limits.ts";
import { takeRequestListener } from "./azurite-modules.ts";

/** Stands between the network and one Azurite server. */
export interface Gate {
  /** False cuts every connection and refuses new ones, as a region that is gone. What was already under way inside still lands, as it does on Azure. */
  setReachable(reachable: boolean): void;
  /** Refuses new connections, waits (at most STORAGE_CLOSE_MS) for requests under way and cuts what is left. */
  drain(): Promise<void>;
  /** What `beforeAnswer` threw first. */
  failure(): unknown;
}

/**
 * Calls `beforeAnswer` once for each request, after it has taken effect and before the first byte of its answer leaves. When that throws, the connection is
 * cut instead of answered: the client learns nothing that is not true. The fault is not thrown on, because the answer may begin inside a stream of Azurite's.
 */
export function placeGate(server: Server, beforeAnswer: (request: IncomingMessage, response: ServerResponse) => void): Gate {
  const sockets = new Set<Socket>();
  let reachable = true;
  let failure: unknown;
  const underWay = new Set<ServerResponse>();
  const azurite = takeRequestListener(server);
  server.on("connection", (socket: Socket) => {
    if (!reachable) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    underWay.add(response);
    response.once("close", () => underWay.delete(response));
    interceptAnswer(response, () => {
      try {
        beforeAnswer(request, response);
      } catch (error) {
        failure ??= error;
        response.destroy();
      }
    });
    azurite(request, response);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const setReachable = (wanted: boolean): void => {
    reachable = wanted;
    if (!reachable) cut();
  };
  const drain = async (): Promise<void> => {
    reachable = false;
    const endMs = Date.now() + STORAGE_CLOSE_MS;
    while (underWay.size > 0 && Date.now() < endMs) await sleep(5);
    cut();
  };
  return { setReachable, drain, failure: () => failure };
}

/** Node sends the first byte of an answer through `writeHead`, whichever method began it. */
function interceptAnswer(response: ServerResponse, before: () => void): void {
  const original = response.writeHead.bind(response);
  let pending = true;
  const intercepted = (...positional: readonly unknown[]): unknown => {
    if (pending) {
      pending = false;
      before();
    }
    return Reflect.apply(original, response, positional);
  };
  Object.defineProperty(response, "writeHead", { value: intercepted });
}

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { STORAGE_CLOSE_MS } from "../limits.ts";
import type { Reachability } from "../reachability.ts";
import { takeRequestListener } from "./azurite-modules.ts";

/** Sits between the network and one Azurite server. */
export interface Gate {
  /**
   * False cuts every connection and refuses new ones. Requests already inside still take effect, as on Azure. Requests
   * swallowed by "hangs" stay unanswered even when the server is reachable again.
   */
  setReachable(reachable: Reachability): void;
  /** Refuses new connections, waits (at most STORAGE_CLOSE_MS) for requests under way and cuts the rest. */
  drain(): Promise<void>;
  /** `beforeAnswer`'s first error. */
  failure(): unknown;
}

export interface GateListeners {
  /** Called once per request, after it has taken effect and before the first byte of its answer leaves. */
  beforeAnswer(request: IncomingMessage, response: ServerResponse): void;
  /** True when it answers the request itself: Azurite never sees it. */
  answersItself(request: IncomingMessage, response: ServerResponse): boolean;
}

/**
 * When `beforeAnswer` throws, the connection is cut instead of answered: the client learns nothing untrue. The fault is
 * not rethrown, because the answer may begin inside a stream of Azurite's.
 */
export function placeGate(server: Server, listeners: GateListeners): Gate {
  const sockets = new Set<Socket>();
  let reachable: Reachability = true;
  let failure: unknown;
  const underWay = new Set<ServerResponse>();
  const azurite = takeRequestListener(server);
  server.on("connection", (socket: Socket) => {
    if (reachable === false) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    if (reachable === "hangs") return void request.resume();
    underWay.add(response);
    response.once("close", () => underWay.delete(response));
    interceptAnswer(response, {
      isWithheld: () => reachable === "hangs",
      ended: () => underWay.delete(response),
      before: () => {
        try {
          listeners.beforeAnswer(request, response);
        } catch (error) {
          failure ??= error;
          response.destroy();
        }
      },
    });
    if (!listeners.answersItself(request, response)) azurite(request, response);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const setReachable = (wanted: Reachability): void => {
    reachable = wanted;
    if (reachable === false) cut();
  };
  const drain = async (): Promise<void> => {
    reachable = false;
    const endMs = Date.now() + STORAGE_CLOSE_MS;
    while (underWay.size > 0 && Date.now() < endMs) await sleep(5);
    cut();
  };
  return { setReachable, drain, failure: () => failure };
}

interface Interception {
  /** Checked before the first byte: if true, nothing of it leaves. */
  isWithheld(): boolean;
  before(): void;
  /** A withheld answer is complete. */
  ended(): void;
}

/** Node sends an answer's first byte through `writeHead`, whichever method began it: `write` and `end` call it. */
function interceptAnswer(response: ServerResponse, interception: Interception): void {
  let state: "pending" | "begun" | "withheld" = "pending";
  const begin = (): void => {
    if (state !== "pending") return;
    interception.before();
    state = interception.isWithheld() ? "withheld" : "begun";
  };
  for (const name of ["writeHead", "write", "end"] as const) {
    const original = response[name].bind(response);
    const intercepted = (...positional: readonly unknown[]): unknown => {
      begin();
      if (state !== "withheld") return Reflect.apply(original, response, positional);
      if (name === "end") interception.ended();
      return name === "write" ? true : response;
    };
    Object.defineProperty(response, name, { value: intercepted });
  }
}

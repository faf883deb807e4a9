import { z } from "zod";
import { LocalError } from "../../errors.ts";
import { parseTrigger } from "../functions.ts";
import type { TriggerKind } from "../trigger.ts";
import { parseRoute } from "./route.ts";

const httpTrigger = z.object({
  authLevel: z.string().default("function"),
  methods: z.array(z.string()).default([]),
  route: z.string().optional(),
});

/** Methods that a fetch `Request` can carry, so that a function can see them. */
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/** HTTP functions have no listener: they add their route to the host's table, and the host's server calls them. */
export const HTTP_TRIGGER: TriggerKind = {
  type: "httptrigger",
  outputTypes: ["http"],
  prepare(hostFunction, context) {
    const { name } = hostFunction;
    const { authLevel, methods, route } = parseTrigger(httpTrigger, hostFunction);
    const level = authLevel.toLowerCase();
    if (level !== "anonymous" && level !== "function" && level !== "admin") {
      throw new LocalError(
        "not-supported",
        `Function ${name} uses authLevel ${authLevel}, which the local Functions host does not offer.`,
        {
          function: name,
        },
      );
    }
    const wanted = methods.map((method) => method.toUpperCase());
    const unknown = wanted.find((method) => !METHODS.includes(method));
    if (unknown !== undefined) {
      throw new LocalError("not-supported", `Function ${name} answers ${unknown}, which no function can receive.`, {
        function: name,
      });
    }
    context.routes.add({
      hostFunction,
      level,
      methods: wanted.length === 0 ? METHODS : wanted,
      route: parseRoute(route ?? name, name),
    });
    return { start: () => Promise.resolve(), stop: () => Promise.resolve() };
  },
};

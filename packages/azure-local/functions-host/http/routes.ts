import { LocalError } from "../../errors.ts";
import type { HostFunction } from "../host-function.ts";
import { type Route, compareRoutes, matchRoute } from "./route.ts";

export type AuthorizationLevel = "anonymous" | "function" | "admin";

interface HttpEndpoint {
  readonly hostFunction: HostFunction;
  readonly route: Route;
  /** Upper case. */
  readonly methods: readonly string[];
  readonly level: AuthorizationLevel;
}

interface EndpointMatch {
  readonly endpoint: HttpEndpoint;
  readonly parameters: Readonly<Record<string, string>>;
}

/** The HTTP functions of the app by route. */
export interface HttpRoutes {
  readonly endpoints: readonly HttpEndpoint[];
  add(endpoint: HttpEndpoint): void;
  /** The endpoint for a method and the path after the prefix, or undefined. `path` is still percent-encoded. */
  find(method: string, path: string): EndpointMatch | undefined;
}

export function createRoutes(prefix: string): HttpRoutes {
  const endpoints: HttpEndpoint[] = [];
  const prefixSegments = prefix === "" ? [] : prefix.toLowerCase().split("/");
  return {
    endpoints,
    add(endpoint) {
      const clash = endpoints.find(
        (other) =>
          other.route.shape === endpoint.route.shape &&
          other.methods.some((method) => endpoint.methods.includes(method)),
      );
      if (clash !== undefined) {
        throw new LocalError(
          "configuration-invalid",
          `Functions ${clash.hostFunction.name} and ${endpoint.hostFunction.name} answer the same route ${endpoint.route.template}.`,
          { function: endpoint.hostFunction.name, route: endpoint.route.template },
        );
      }
      // Like the real host, refuses a route "admin..." under every prefix.
      const isOfTheHost = prefixSegments.length === 0 && /^\/*runtime(\/|$)/i.test(endpoint.route.template);
      if (isOfTheHost || /^\/*admin/i.test(endpoint.route.template)) {
        const { name } = endpoint.hostFunction;
        throw new LocalError(
          "configuration-invalid",
          `The route "${endpoint.route.template}" of ${name} conflicts with one or more built in routes.`,
          { function: name, route: endpoint.route.template },
          { hint: "Choose a route that does not begin with admin (or runtime, where the route prefix is empty)." },
        );
      }
      endpoints.push(endpoint);
      endpoints.sort((left, right) => compareRoutes(left.route, right.route));
    },
    find(method, path) {
      const segments = path.split("/").filter((segment) => segment !== "");
      const head = segments.slice(0, prefixSegments.length).map((segment) => segment.toLowerCase());
      if (head.join("/") !== prefixSegments.join("/")) return undefined;
      const rest = segments.slice(prefixSegments.length);
      for (const endpoint of endpoints) {
        if (!endpoint.methods.includes(method)) continue;
        const parameters = matchRoute(endpoint.route, rest);
        if (parameters !== undefined) return { endpoint, parameters };
      }
      return undefined;
    },
  };
}

import type { HttpFunctionOptions } from "@azure/functions";
import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { Answer } from "../app-under-test.ts";
import { type Judge, allowedOutcomes, openJudge, outcomeOf } from "./fuzz-judge.ts";
import { ROUTE_CASES, type RouteCase, WRONG_TOKEN } from "./fuzz-routes.ts";
import {
  ODD_NAMES,
  additions,
  anyHeader,
  anyText,
  brokenTexts,
  numberReplacements,
  removals,
  replacements,
  spoiltBytes,
  textWith,
  textWithout,
} from "./hostile.ts";

interface Hoisted {
  readonly registered: Map<string, HttpFunctionOptions>;
  application: unknown;
}
const hoisted = vi.hoisted<Hoisted>(() => ({ registered: new Map(), application: undefined }));

vi.mock("@azure/functions", async (original) => ({
  ...(await original<Record<string, unknown>>()),
  app: {
    http: (_name: string, options: HttpFunctionOptions) => {
      for (const method of options.methods ?? []) hoisted.registered.set(`${method} ${options.route}`, options);
    },
    timer: () => undefined,
    storageQueue: () => undefined,
    hook: { appTerminate: () => undefined },
  },
}));
vi.mock("../../../functions/wiring.ts", () => ({ applicationOnce: () => () => hoisted.application }));
// The host of the flows is not under test: what was asked for stands in the records.
vi.mock("../../../orchestrations/durable.ts", () => ({ flowClient: {}, registerFlows: () => undefined }));
await import("../../../functions/index.ts");

/** `npm run test:long` takes more. */
const RUNS = Number(process.env["LEEWARD_FUZZ_RUNS"] ?? 8);
/** Far beyond what a handler on memory takes: one that takes it hangs. */
const HANGS_MS = 10_000;

const { world, send, rightRequest }: Judge = openJudge(hoisted.registered, (application) => {
  hoisted.application = application;
});
/** The names are the same in every world. */
const { names } = await world();

/** Holds for the examples, which were found once, and for what comes by chance. */
function hold<Value>(
  values: fc.Arbitrary<Value>,
  property: (value: Value) => Promise<void>,
  { examples = [], numRuns = RUNS }: { readonly examples?: readonly Value[]; readonly numRuns?: number } = {},
): Promise<void> {
  const found = examples.map((example): [Value] => [example]);
  return fc.assert(fc.asyncProperty(values, property), {
    numRuns: numRuns + found.length,
    timeout: HANGS_MS,
    examples: found,
  });
}

const labelled = (cases: readonly RouteCase[]) =>
  cases.map((routeCase) => [`${routeCase.route} ${routeCase.what ?? ""}`.trimEnd(), routeCase] as const);

it("every registered route is fuzzed", () => {
  expect(new Set(ROUTE_CASES.map(({ route }) => route))).toEqual(new Set(hoisted.registered.keys()));
});

describe.each(labelled(ROUTE_CASES))("%s", (_label, routeCase) => {
  const { route, status, unknown = [], repeatable, token } = routeCase;

  it("answers the request that is all right", async () => {
    expect((await send(routeCase, await rightRequest(routeCase))).status).toBe(status);
  });

  const named = routeCase.params;
  if (named === undefined) return;
  it("takes no odd name for another", async () => {
    const keys = Object.keys(named(names));
    const allowed = /^(PUT|DELETE) /.test(route) ? ["taken", ...unknown] : unknown;
    await hold(
      fc.record({ key: fc.constantFrom(...keys), name: fc.option(ODD_NAMES, { nil: undefined }) }),
      async ({ key, name }) => {
        const right = await rightRequest(routeCase);
        const { [key]: _right, ...others } = right.params ?? {};
        expect(allowed).toContain(
          outcomeOf(
            await send(routeCase, { ...right, params: name === undefined ? others : { ...others, [key]: name } }),
          ),
        );
      },
    );
  });

  it("takes any header, and refuses a request id that is empty or too long", async () => {
    const others = ["authorization", "content-type", "x-functions-key", "content-encoding", "accept"];
    const headers = fc.record({ name: fc.constantFrom("x-ms-client-request-id", ...others), value: anyHeader });
    const outcome = (name: string, value: string): string => {
      const { length } = value.replaceAll(/^[\t ]+|[\t ]+$/g, "");
      if (repeatable === true && name === "x-ms-client-request-id" && (length === 0 || length > 128))
        return "invalid-request";
      return token === "header" && name === "authorization" ? "not-authorized" : "taken";
    };
    const examples = ["", "x".repeat(128), "x".repeat(129)].map((value) => ({ name: "x-ms-client-request-id", value }));
    const property = async ({ name, value }: { readonly name: string; readonly value: string }): Promise<void> => {
      const right = await rightRequest(routeCase);
      expect(outcomeOf(await send(routeCase, { ...right, headers: { ...right.headers, [name]: value } }))).toBe(
        outcome(name, value),
      );
    };
    await hold(headers, property, { examples });
  });

  it("whatever comes, alone or together, is answered in its own words", async () => {
    const anything = fc.record({
      params: fc.dictionary(fc.constantFrom("item", "point", "restore", "job", "policy", "mapping", "x"), ODD_NAMES),
      query: fc.dictionary(fc.constantFrom("after", "code", "x"), fc.oneof(ODD_NAMES, anyHeader)),
      headers: fc.dictionary(fc.constantFrom("x-ms-client-request-id", "authorization"), anyHeader),
      text: anyText,
    });
    await hold(anything, async ({ params, query, headers, text }) => {
      const right = await rightRequest(routeCase);
      const body = route.startsWith("GET") ? {} : { text };
      const request = {
        params: { ...right.params, ...params },
        query,
        headers: { ...right.headers, ...headers },
        ...body,
      };
      expect((await send(routeCase, request)).status).toBeLessThan(500);
    });
  });
});

describe.each(labelled(ROUTE_CASES.filter(({ body }) => body !== undefined)))("the body of %s", (_label, routeCase) => {
  const body = routeCase.body?.(names) ?? {};
  const sendBody = async (given: { readonly text: string } | { readonly bytes: Uint8Array }): Promise<Answer> => {
    const { text: _right, ...others } = await rightRequest(routeCase);
    return send(routeCase, { ...others, ...given });
  };

  it("that is no JSON is refused", async () => {
    await hold(brokenTexts(body), async (text) => {
      expect(outcomeOf(await sendBody({ text }))).toBe("invalid-request");
    });
  });

  it("that is no UTF-8 is refused", async () => {
    await hold(spoiltBytes(body), async (bytes) => {
      expect(outcomeOf(await sendBody({ bytes }))).toBe("invalid-request");
    });
  });

  it("with another value somewhere is taken, or refused in its own words; another type, or a field too many, is refused", async () => {
    const mutations = fc.oneof({ weight: 3, arbitrary: replacements(body) }, { weight: 1, arbitrary: additions(body) });
    const { found = [] } = routeCase;
    await hold(
      mutations,
      async (mutation) => {
        const outcome = outcomeOf(await sendBody({ text: textWith(body, mutation) }));
        expect(allowedOutcomes(routeCase, body, mutation)).toContain(outcome);
      },
      { examples: [...found, ...numberReplacements(body)], numRuns: 3 * RUNS },
    );
  });

  it("without one of its parts is taken, or refused in its own words", async () => {
    await hold(removals(body), async (path) => {
      const outcome = outcomeOf(await sendBody({ text: textWithout(body, path) }));
      expect(["taken", "invalid-request", ...(routeCase.refusals ?? [])]).toContain(outcome);
    });
  });
});

describe.each(labelled(ROUTE_CASES.filter(({ token }) => token !== undefined)))(
  "%s with a wrong token",
  (_label, routeCase) => {
    it("is refused", async () => {
      const wrongTokens = fc.oneof(
        fc.constantFrom(WRONG_TOKEN, WRONG_TOKEN.toUpperCase(), "", "x".repeat(5000), "__proto__"),
        fc.string({ unit: "grapheme-ascii", maxLength: 300 }),
      );
      await hold(wrongTokens, async (wrong) => {
        const right = await rightRequest(routeCase);
        const change =
          routeCase.token === "header"
            ? { headers: { authorization: `Bearer ${wrong}` } }
            : { text: JSON.stringify({ ...routeCase.body?.(names), registrationToken: wrong }) };
        expect(outcomeOf(await send(routeCase, { ...right, ...change }))).toBe("not-authorized");
      });
    });
  },
);

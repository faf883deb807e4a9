import type { HttpFunctionOptions } from "@azure/functions";
import { expect } from "vitest";
import { alertMessage } from "../../../functions/serving/alert-message.ts";
import type { Application } from "../../../functions/wiring.ts";
import { type ErrorCode, isErrorCode } from "../../../replication/errors.ts";
import { type Answer, call } from "../app-under-test.ts";
import type { RouteCase } from "./fuzz-routes.ts";
import { type FuzzWorld, type Routes, openFuzzWorld } from "./fuzz-world.ts";
import { type Mutation, typeOf, valueAt } from "./hostile.ts";

/** What a person reads, and no echo of the whole body. */
const ANSWER_MAX_LENGTH = 20_000;

/** The statuses of docs/architecture.md, told again: the product's own table is under test. */
const STATUS_OF: Readonly<Partial<Record<ErrorCode, number>>> = {
  "invalid-request": 400,
  "disk-invalid": 400,
  "not-authorized": 401,
  "item-unknown": 404,
  "point-unknown": 404,
  "restore-unknown": 404,
  "policy-unknown": 404,
  "alert-rule-unknown": 404,
  "mapping-unknown": 404,
  "job-unknown": 404,
  conflict: 409,
  "item-exists": 409,
  "machine-mismatch": 409,
  "position-fork": 409,
  "session-taken": 409,
  "operation-not-allowed": 409,
  "stream-closed": 409,
};

type FuzzRequest = NonNullable<Parameters<typeof call>[1]>;

export interface Judge {
  readonly world: () => Promise<FuzzWorld>;
  /** The request of the table. */
  readonly rightRequest: (routeCase: RouteCase) => Promise<FuzzRequest>;
  /** Sends it, and holds what must hold for every request and every answer. */
  readonly send: (routeCase: RouteCase, request: FuzzRequest) => Promise<Answer>;
}

export function openJudge(routes: Routes, bind: (application: Application) => void): Judge {
  // A world is good for the next run as long as nothing was taken in: that a refusal changes nothing is held after
  // each.
  let kept: FuzzWorld | undefined;
  const world = async (): Promise<FuzzWorld> => (kept ??= await openFuzzWorld(routes, bind));
  const optionsOf = (route: string): HttpFunctionOptions => {
    const options = routes.get(route);
    if (options === undefined) throw new Error(`${route} is not registered`);
    return options;
  };
  /** What was taken in must not break what is read later: neither the views, nor whoever takes the messages. */
  const expectReadable = async (sent: FuzzWorld["app"]["sent"]): Promise<void> => {
    const views = ["", "/{item}", "/{item}/recoveryPoints"].map((below) => `GET replicationProtectedItems${below}`);
    for (const view of [...views, "GET replicationJobs", "GET replicationPolicies", "GET replicationNetworkMappings"]) {
      const { status } = await call(optionsOf(view), { params: { item: "web-1" } });
      expect([view, status]).toEqual([view, 200]);
    }
    for (const { message } of sent) {
      if (message.kind === "alert")
        expect(alertMessage.safeParse(JSON.parse(JSON.stringify(message))).success).toBe(true);
    }
  };
  return {
    world,
    rightRequest: async ({ params, headers, body }) => {
      const { names } = await world();
      return {
        params: { ...params?.(names) },
        headers: { ...headers },
        ...(body && { text: JSON.stringify(body(names)) }),
      };
    },
    send: async (routeCase, request) => {
      const { app, secrets } = await world();
      const before = app.dump();
      const fresh = kept;
      // A failure must not be inherited by the next run.
      kept = undefined;
      const answer = await call(optionsOf(routeCase.route), request);
      expect(answer.headers["cache-control"]).toBe("no-store");
      if (answer.status >= 300) {
        expectRefusal(answer);
        expect(withoutRefusedJob(app.dump(), before)).toEqual(before);
      } else if (routeCase.route.startsWith("GET")) expect(app.dump()).toEqual(before);
      else await expectReadable(app.sent);
      if (answer.status >= 300 || routeCase.grants !== true) expectNoSecret(answer, secrets);
      if (answer.status >= 300 || routeCase.route.startsWith("GET")) kept = fresh;
      return answer;
    },
  };
}

/** `taken`, or the code of the refusal. */
export function outcomeOf({ status, body }: Answer): string {
  return status < 300 ? "taken" : ((body as { readonly error?: { readonly code: string } }).error?.code ?? "");
}

/** What may become of a body that was changed at one place. */
export function allowedOutcomes(routeCase: RouteCase, body: object, { path, raw }: Mutation): readonly string[] {
  const { readsOver, named = [], loose = [], refusals = [] } = routeCase;
  const before = valueAt(body, path);
  if (before === undefined) {
    if (readsOver === true) return ["taken"];
    return named.includes(path.slice(0, -1).join(".")) ? ["taken", "invalid-request"] : ["invalid-request"];
  }
  const isLoose = loose.some((prefix) => path.join(".").startsWith(prefix));
  const isOtherType = typeOf(raw) !== typeOf(JSON.stringify(before));
  return isOtherType && !isLoose ? ["invalid-request"] : ["taken", "invalid-request", ...refusals];
}

function expectRefusal(answer: Answer): void {
  const shown = JSON.stringify(answer.body);
  expect(answer.body).toEqual({
    error: {
      code: expect.any(String),
      message: expect.stringMatching(/\S/),
      hint: expect.stringMatching(/\S{2}/),
      facts: expect.any(Object),
    },
  });
  const code = outcomeOf(answer);
  expect([answer.status, shown]).toEqual([isErrorCode(code) ? STATUS_OF[code] : "a closed code", shown]);
  expect(shown.length).toBeLessThan(ANSWER_MAX_LENGTH);
  // What the caller did wrong is not the operator's to read about.
  expect(answer.lines).toEqual([]);
}

function expectNoSecret({ body }: Answer, secrets: readonly string[]): void {
  for (const secret of secrets) expect(JSON.stringify(body)).not.toContain(secret);
}

/** A refused operation leaves its job, which says so, and nothing else. */
function withoutRefusedJob(
  after: Readonly<Record<string, string>>,
  before: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const isRefusedJob = (name: string, content: string): boolean =>
    !Object.hasOwn(before, name) &&
    /^records \S+ jobs\//.test(name) &&
    /"state":"Failed".*"code":"operation-not-allowed"/s.test(content);
  return Object.fromEntries(Object.entries(after).filter(([name, content]) => !isRefusedJob(name, content)));
}

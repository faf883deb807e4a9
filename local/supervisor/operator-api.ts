import { z } from "zod";
import { LeewardError } from "../../replication/errors.ts";
import { OPERATOR_REQUEST_MS } from "../limits.ts";

export interface RecoveryPoint {
  readonly pointId: string;
  /** The last epoch that it holds. */
  readonly epoch: number;
  readonly sourceTimeMs: number;
  readonly targetTimeMs: number;
}

export interface ItemView {
  readonly stage: string;
  readonly appliedEpoch: number;
  readonly uploadedEpoch: number | undefined;
  readonly rpoSeconds: number | undefined;
  readonly health: string;
  readonly stopped: string | undefined;
}

/** The operator's side of the HTTP API, as far as the supervisor needs it. */
export interface OperatorApi {
  /** Protects the item; the registration token comes only when it is new. */
  protect(
    itemId: string,
    disks: readonly { readonly id: string; readonly sizeBytes: number }[],
    policy: { readonly crashConsistentFrequencyInMinutes: number },
  ): Promise<string | undefined>;
  newRegistrationToken(itemId: string): Promise<string>;
  item(itemId: string): Promise<ItemView>;
  /** Newest first. */
  points(itemId: string): Promise<readonly RecoveryPoint[]>;
}

/**
 * The API of the function app at `url` (without `/api`). Errors: `store-unavailable` when the app does not answer; else
 * the app's own words.
 */
export function operatorApi(url: string, functionKey: string): OperatorApi {
  const call = async <Answer>(
    method: string,
    path: string,
    schema: z.ZodType<Answer>,
    body?: object,
  ): Promise<Answer> => {
    const answer = await ask(`${url}/api/replicationProtectedItems/${path}`, functionKey, method, body);
    return schema.parse(answer);
  };
  return {
    protect: async (itemId, disks, policy) =>
      (await call("PUT", itemId, PROTECTED, { disks, policy })).registrationToken,
    newRegistrationToken: async (itemId) =>
      (await call("POST", `${itemId}/registrationToken`, TOKEN)).registrationToken,
    item: async (itemId) => {
      const item = await call("GET", itemId, ITEM);
      return {
        stage: item.stage,
        appliedEpoch: item.applied.epoch,
        uploadedEpoch: item.uploaded?.epoch,
        rpoSeconds: item.rpoInSeconds,
        health: item.replicationHealth,
        stopped: item.stopped?.message,
      };
    },
    points: async (itemId) => {
      const { value } = await call("GET", `${itemId}/recoveryPoints`, POINTS);
      return value.map(({ name, sourceTime, recoveryPointTime, position }) => ({
        pointId: name,
        epoch: position.epoch,
        sourceTimeMs: Date.parse(sourceTime),
        targetTimeMs: Date.parse(recoveryPointTime),
      }));
    },
  };
}

const PROTECTED = z.object({ registrationToken: z.string().optional() });
const TOKEN = z.object({ registrationToken: z.string() });
const ITEM = z.object({
  stage: z.string(),
  replicationHealth: z.string(),
  rpoInSeconds: z.number().optional(),
  applied: z.object({ epoch: z.number() }),
  uploaded: z.object({ epoch: z.number() }).optional(),
  stopped: z.object({ message: z.string() }).optional(),
});
const POINTS = z.object({
  value: z.array(
    z.object({
      name: z.string(),
      sourceTime: z.string(),
      recoveryPointTime: z.string(),
      position: z.object({ epoch: z.number() }),
    }),
  ),
});
const REFUSAL = z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) });

async function ask(url: string, functionKey: string, method: string, body: object | undefined): Promise<unknown> {
  let answer: Response;
  try {
    answer = await fetch(url, {
      method,
      headers: {
        "x-functions-key": functionKey,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      signal: AbortSignal.timeout(OPERATOR_REQUEST_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    throw new LeewardError(
      "store-unavailable",
      `The function app does not answer at ${url}.`,
      { url },
      {
        cause: error,
        hint: "See whether it runs; its log is in the folder logs.",
      },
    );
  }
  const text = await answer.text();
  const value: unknown = text === "" ? undefined : JSON.parse(text);
  if (answer.ok) return value;
  const refusal = REFUSAL.safeParse(value);
  const { message, hint } = refusal.success
    ? refusal.data.error
    : { message: text, hint: "See the log of the function app." };
  throw new LeewardError(
    "invalid-request",
    `${method} ${url} was answered with ${answer.status}: ${message}`,
    {},
    { hint },
  );
}

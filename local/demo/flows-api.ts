import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { LeewardError } from "../../replication/errors.ts";
import { DEMO_STAGE_MS } from "../limits.ts";
import type { Cloud } from "../supervisor/cloud.ts";

/** What the demo asks of the HTTP API about machines: each request as an operator, or Azure Monitor, sends it. */
export interface FlowsApi {
  enable(itemId: string, body: EnableBody): Promise<Job>;
  disable(itemId: string): Promise<Job>;
  /**
   * Waits for the end of a job. `report` is told of the task that runs. Errors: `internal` with the job's own errors
   * unless it succeeds.
   */
  finish(job: Pick<Job, "name">, report: (detail: string) => void): Promise<Job>;
  putAlertRule(itemId: string, rule: object): Promise<void>;
  /** Newest first. */
  decisions(itemId: string): Promise<readonly Decision[]>;
  sendAlert(alert: object): Promise<void>;
}

interface EnableBody {
  readonly sourceVmId: string;
  readonly targetRegion: string;
  readonly policy: { readonly crashConsistentFrequencyInMinutes: number };
}

export type Job = z.infer<typeof JOB>;
type Decision = z.infer<typeof DECISION>;

const JOB = z.object({
  name: z.string(),
  state: z.string(),
  tasks: z.array(z.object({ name: z.string(), friendlyName: z.string(), state: z.string() })),
  errors: z.array(z.object({ code: z.string(), message: z.string(), hint: z.string() })),
  recoveryPointId: z.string().optional(),
  alertId: z.string().optional(),
});
const DECISION = z.object({ alert: z.string(), reason: z.string(), message: z.string(), job: z.string().optional() });
const POLL_MS = 250;

/**
 * Requests that fail are sent again: the app is killed in the middle of the demo, and every one of them is repeatable
 * by its id.
 */
export function flowsApi({ app, secrets }: Cloud): FlowsApi {
  const call = async <Answer>(
    method: string,
    path: string,
    schema: z.ZodType<Answer>,
    body?: object,
  ): Promise<Answer> => {
    const requestId = randomUUID();
    const deadlineMs = Date.now() + DEMO_STAGE_MS;
    for (;;) {
      const answer = await send(`${app.url}/api/${path}`, method, secrets.functionKey, requestId, body);
      if (answer !== undefined && answer.status < 300)
        return schema.parse(answer.text === "" ? {} : JSON.parse(answer.text));
      if (answer !== undefined && answer.status !== 503) {
        throw new LeewardError("internal", `${method} ${path} was answered with ${answer.status}: ${answer.text}`);
      }
      if (Date.now() > deadlineMs)
        throw new LeewardError("store-unavailable", `The function app does not answer ${method} ${path}.`);
      await sleep(POLL_MS);
    }
  };
  return {
    enable: (itemId, body) => call("PUT", `replicationProtectedItems/${itemId}`, JOB, body),
    disable: (itemId) => call("DELETE", `replicationProtectedItems/${itemId}`, JOB),
    finish: async ({ name }, report) => {
      const deadlineMs = Date.now() + DEMO_STAGE_MS;
      for (;;) {
        const job = await call("GET", `replicationJobs/${name}`, JOB);
        if (job.state === "Succeeded") return job;
        const ended = job.state === "Failed" || job.state === "Cancelled";
        if (ended || Date.now() > deadlineMs) {
          throw new LeewardError(
            "internal",
            `The job ${name} is ${job.state}: ${job.errors.map(({ message }) => message).join(" ")}`,
          );
        }
        report(job.tasks.find(({ state }) => state === "InProgress")?.friendlyName ?? "");
        await sleep(POLL_MS);
      }
    },
    putAlertRule: async (itemId, rule) => {
      await call("PUT", `replicationProtectedItems/${itemId}/alertRule`, z.object({}), rule);
    },
    decisions: async (itemId) => {
      const schema = z.object({ decisions: z.array(DECISION) });
      return (await call("GET", `replicationProtectedItems/${itemId}/alertRule`, schema)).decisions;
    },
    sendAlert: async (alert) => {
      await call("POST", "alerts", z.object({}), alert);
    },
  };
}

/** Undefined when nobody answers. */
async function send(
  url: string,
  method: string,
  functionKey: string,
  requestId: string,
  body: object | undefined,
): Promise<{ readonly status: number; readonly text: string } | undefined> {
  const headers = {
    "x-functions-key": functionKey,
    "x-ms-client-request-id": requestId,
    "content-type": "application/json",
  };
  try {
    const answer = await fetch(url, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return { status: answer.status, text: await answer.text() };
  } catch {
    return undefined;
  }
}

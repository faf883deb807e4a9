import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, type Client, createClient } from "../../api/client.ts";
import { LeewardError } from "../../replication/errors.ts";
import { DEMO_STAGE_MS } from "../limits.ts";
import type { Cloud } from "../supervisor/cloud.ts";

/** The demo's requests about machines to the HTTP API: each as an operator, or Azure Monitor, sends it. */
export interface FlowsApi {
  enable(itemId: string, body: EnableBody): Promise<Job>;
  disable(itemId: string): Promise<Job>;
  /**
   * Waits for the end of a job. `report` receives the running task. Errors: `internal` with the job's own errors unless
   * it succeeds.
   */
  finish(job: Pick<Job, "name">, report: (detail: string) => void): Promise<Job>;
  putAlertRule(itemId: string, rule: SentRule): Promise<void>;
  /** Newest first. */
  decisions(itemId: string): Promise<readonly Decision[]>;
  sendAlert(alert: SentAlert): Promise<void>;
}

interface EnableBody {
  readonly sourceVmId: string;
  readonly targetRegion: string;
  readonly policy: { readonly crashConsistentFrequencyInMinutes: number };
}

export type Job = Awaited<ReturnType<Client["showJob"]>>["body"];
type Decision = Awaited<ReturnType<Client["showAlertRule"]>>["body"]["decisions"][number];
/** A rule for alerts, as an operator sends it. */
export type SentRule = Parameters<Client["putAlertRule"]>[0]["body"];
type SentAlert = Parameters<Client["receiveAlert"]>[0]["body"];

const POLL_MS = 250;

/** Repeats failed requests: the app is killed in the middle of the demo, and every request is repeatable by its id. */
export function flowsApi({ app, secrets }: Cloud): FlowsApi {
  const client = createClient({ url: app.url, functionKey: secrets.functionKey });
  return {
    enable: (item, body) => accepted((requestId) => client.protectItem({ item, body, requestId })),
    disable: (item) => accepted((requestId) => client.disableProtection({ item, requestId })),
    finish: async ({ name }, report) => {
      const deadlineMs = Date.now() + DEMO_STAGE_MS;
      for (;;) {
        const { body: job } = await again(() => client.showJob({ job: name }));
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
    putAlertRule: async (item, body) => {
      await again(() => client.putAlertRule({ item, body }));
    },
    decisions: async (item) => (await again(() => client.showAlertRule({ item }))).body.decisions,
    sendAlert: async (body) => {
      await again(() => client.receiveAlert({ body }));
    },
  };
}

/** The job that was started. */
async function accepted(
  ask: (requestId: string) => ReturnType<Client["protectItem" | "disableProtection"]>,
): Promise<Job> {
  const reply = await again(ask);
  if (reply.status === 202) return reply.body;
  throw new LeewardError("internal", `No job was started: the answer was ${reply.status}.`);
}

async function again<Reply>(ask: (requestId: string) => Promise<Reply>): Promise<Reply> {
  const requestId = randomUUID();
  const deadlineMs = Date.now() + DEMO_STAGE_MS;
  for (;;) {
    try {
      return await ask(requestId);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const canPass = error.kind === "unreachable" || error.status === 503;
      if (!canPass) throw new LeewardError("internal", error.message, {}, { cause: error });
      if (Date.now() > deadlineMs) throw new LeewardError("store-unavailable", error.message, {}, { cause: error });
    }
    await sleep(POLL_MS);
  }
}

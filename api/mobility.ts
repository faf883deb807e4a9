import * as z from "zod";
import type {
  HeartbeatAnswer,
  HeartbeatRequest,
  RegisterAnswer,
  RegisterRequest,
  SettleAnswer,
  SettleRequest,
} from "../replication/service/protocol.ts";
import type { Operation } from "./operation.ts";
import { disksOf, givenDisk, position } from "./shapes.ts";

/**
 * Requests of the mobility service and their answers; `replication/service/protocol.ts` explains each field, and the
 * service uses its types. Bodies may carry fields that a newer service knows.
 */
const registerBody = z.object({
  registrationToken: z.string(),
  itemToken: z.string(),
  machineId: z.string(),
  bootId: z.string(),
  disks: disksOf(z.object(givenDisk)),
}) satisfies z.ZodType<RegisterRequest>;

const progressed = z.object({ doneBytes: z.number(), totalBytes: z.number() });

const heartbeatBody = z.object({
  machineId: z.string(),
  bootId: z.string(),
  sessionId: z.string(),
  ended: z.boolean().optional(),
  sentMs: z.number(),
  clockAheadMs: z.number().optional(),
  start: position.optional(),
  uploaded: position,
  sealed: position.optional(),
  currentAtMs: z.number().optional(),
  pendingBytes: z.number(),
  seeding: progressed.optional(),
  resynchronization: progressed.extend({ state: z.enum(["required", "running"]), reason: z.string() }).optional(),
  uploadsStopped: z.object({ code: z.string(), message: z.string() }).optional(),
  consistency: z
    .union([
      z.object({ requestId: z.string(), state: z.literal("done") }),
      z.object({ requestId: z.string(), state: z.literal("failed"), reason: z.string() }),
    ])
    .optional(),
  nextTokenHash: z.string().optional(),
}) satisfies z.ZodType<HeartbeatRequest>;

const settleBody = z.object({
  sessionId: z.string(),
  stream: z.number(),
  epoch: z.number(),
  checksum: z.string(),
}) satisfies z.ZodType<SettleRequest>;

const openStream = { stream: z.number(), start: position, nonce: z.string() };

const registerAnswer = z.object({
  ...openStream,
  ticket: z.string(),
  cacheEndpoint: z.string(),
}) satisfies z.ZodType<RegisterAnswer>;

const heartbeatAnswer = z.object({
  ...openStream,
  upload: z.object({ containerUrl: z.string(), expiresMs: z.number() }),
  applied: position,
  nowMs: z.number().optional(),
  intervalMs: z.number(),
  session: z.object({ sinceMs: z.number(), leaseMs: z.number() }),
  resend: z.object({ epoch: z.number() }).optional(),
  consistency: z.object({ requestId: z.string() }).optional(),
  rotation: z.enum(["wanted", "accepted"]).optional(),
}) satisfies z.ZodType<HeartbeatAnswer>;

const settleAnswer = z.object({ outcome: z.enum(["same", "again", "other"]) }) satisfies z.ZodType<SettleAnswer>;

/** The mobility service's side, without function keys: a VM must not hold a key that others share. */
export const MOBILITY = {
  registerMobility: {
    method: "POST",
    route: "mobility/{item}/register",
    caller: "registration-token",
    summary: "A mobility service makes itself known; its one-time token stands in the body.",
    body: registerBody,
    answers: { 200: { description: "The stream that it opens.", body: registerAnswer } },
  },
  heartbeatMobility: {
    method: "POST",
    route: "mobility/{item}/heartbeat",
    caller: "item-token",
    summary: "The word of a registered mobility service; the answer grants its next uploads.",
    body: heartbeatBody,
    answers: { 200: { description: "What it is granted, and what is wanted of it.", body: heartbeatAnswer } },
  },
  settleMobility: {
    method: "POST",
    route: "mobility/{item}/settle",
    caller: "item-token",
    summary: "The cache said 'exists'; tells whether the service's own delta stands there.",
    body: settleBody,
    answers: { 200: { description: "What stands there.", body: settleAnswer } },
  },
} as const satisfies Readonly<Record<string, Operation>>;

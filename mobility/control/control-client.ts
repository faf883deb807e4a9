import { LeewardError } from "../../replication/errors.ts";
import type {
  HeartbeatAnswer,
  HeartbeatRequest,
  RegisterAnswer,
  RegisterRequest,
  SettleAnswer,
  SettleRequest,
} from "../../replication/service/protocol.ts";
import { CONTROL_TIMEOUT_MS } from "../limits.ts";
import type { Transport } from "../system/transport.ts";
import { errorBody, heartbeatAnswer, registerAnswer, settleAnswer } from "./answers.ts";

/**
 * The three calls of the mobility service (replication/service/protocol.ts). All throw `control-unavailable` when the
 * answer is missing, broken or a server error, and the control plane's own code (`not-authorized`, `item-unknown`, ...)
 * when it refused.
 */
export interface ControlClient {
  register(request: RegisterRequest): Promise<RegisterAnswer>;
  heartbeat(request: HeartbeatRequest): Promise<HeartbeatAnswer>;
  settle(request: Omit<SettleRequest, "sessionId">): Promise<SettleAnswer>;
}

export interface ControlOptions {
  readonly transport: Transport;
  /** Ends in `/api`. Checked by `controlUrl`. */
  readonly apiUrl: URL;
  readonly itemId: string;
  /** The ticket and item token to use now. */
  readonly credential: () => string;
  readonly sessionId: string;
  /** The control plane has just reported its time. */
  readonly told: (controlMs: number) => void;
  /** Ends calls under way when the service stops. */
  readonly signal: AbortSignal;
}

export function createControlClient(options: ControlOptions): ControlClient {
  const call = async <Answer>(
    action: string,
    body: object,
    parse: (value: unknown) => Answer | undefined,
    headers: object,
  ): Promise<Answer> => {
    const url = new URL(options.apiUrl);
    url.pathname = `${url.pathname.replace(/\/$/, "")}/mobility/${options.itemId}/${action}`;
    const answer = await options.transport.send({
      method: "POST",
      url,
      headers: { "content-type": "application/json", ...headers },
      body: { kind: "text", text: JSON.stringify(body) },
      timeoutMs: CONTROL_TIMEOUT_MS,
      signal: options.signal,
    });
    const value = parseJson(answer.body);
    if (answer.status >= 200 && answer.status < 300) {
      const parsed = parse(value);
      if (parsed !== undefined) return parsed;
      throw unavailable(action, answer.status, "the answer cannot be understood");
    }
    throw refusal(action, answer.status, value);
  };
  const authorized = (): object => ({ authorization: `Bearer ${options.credential()}` });
  return {
    register: (request) => call("register", request, registerAnswer, {}),
    heartbeat: async (request) => {
      const answer = await call("heartbeat", request, heartbeatAnswer, authorized());
      if (answer.nowMs !== undefined) options.told(answer.nowMs);
      return answer;
    },
    settle: (request) => call("settle", { ...request, sessionId: options.sessionId }, settleAnswer, authorized()),
  };
}

function refusal(action: string, status: number, value: unknown): LeewardError {
  const error = errorBody(value);
  if (error?.code === undefined || status >= 500)
    return unavailable(action, status, error?.message ?? "no reason given");
  const options = error.hint === undefined ? {} : { hint: error.hint };
  return new LeewardError(
    error.code,
    `${action} was refused: ${error.message}`,
    { action, status, leaseLeftMs: error.leaseLeftMs },
    options,
  );
}

function unavailable(action: string, status: number, reason: string): LeewardError {
  return new LeewardError("control-unavailable", `${action} failed with status ${status}: ${reason}.`, {
    action,
    status,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

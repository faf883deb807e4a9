import { type ApiError, createClient } from "../../api/client.ts";
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

/** The part of the HTTP API's operator side that the supervisor needs, in milliseconds and numbers. */
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
 * `invalid-request` with the app's own text.
 */
export function operatorApi(url: string, functionKey: string): OperatorApi {
  const client = createClient({ url, functionKey, timeoutMs: OPERATOR_REQUEST_MS, failure: leewardErrorOf });
  return {
    protect: async (item, disks, policy) => {
      const { status, body } = await client.protectItem({ item, body: { disks, policy } });
      return status === 201 ? body.registrationToken : undefined;
    },
    newRegistrationToken: async (item) => (await client.newRegistrationToken({ item })).body.registrationToken,
    item: async (name) => {
      const { body: item } = await client.showItem({ item: name });
      return {
        stage: item.stage ?? "not replicating",
        appliedEpoch: item.applied?.epoch ?? 0,
        uploadedEpoch: item.uploaded?.epoch,
        rpoSeconds: item.rpoInSeconds,
        health: item.replicationHealth ?? "None",
        stopped: item.stopped?.message,
      };
    },
    points: async (item) => {
      const { body } = await client.listRecoveryPoints({ item });
      return body.value.flatMap((point) =>
        "damaged" in point
          ? []
          : [
              {
                pointId: point.name,
                epoch: point.position.epoch,
                sourceTimeMs: Date.parse(point.sourceTime),
                targetTimeMs: Date.parse(point.recoveryPointTime),
              },
            ],
      );
    },
  };
}

function leewardErrorOf(error: ApiError): LeewardError {
  const { kind, message } = error;
  if (kind === "unreachable") {
    const hint = "See whether it runs; its log is in the folder logs.";
    return new LeewardError("store-unavailable", message, {}, { cause: error, hint });
  }
  const hint = error.hint ?? "See the log of the function app.";
  return new LeewardError("invalid-request", message, {}, { cause: error, hint });
}

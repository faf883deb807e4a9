import { type BlockBlobClient, BlobServiceClient, RestError } from "@azure/storage-blob";
import { STORAGE_OPTIONS } from "../settings.ts";
import { type TimerStatus, formatStatus, parseStatus } from "./status.ts";

/** The storage of one timer's status. */
export interface TimerStatusBlob {
  /** Undefined if none was written yet. */
  read(): Promise<TimerStatus | undefined>;
  write(status: TimerStatus): Promise<void>;
}

/** The container of the real host's own records. */
const CONTAINER = "azure-webjobs-hosts";

/** `timers/<host id>/Host.Functions.<function>/status` in the host's own account: the real host's place and form. */
export function openTimerStatus(connection: string, hostId: string, functionName: string): TimerStatusBlob {
  const container = BlobServiceClient.fromConnectionString(connection, STORAGE_OPTIONS).getContainerClient(CONTAINER);
  const blob: BlockBlobClient = container.getBlockBlobClient(`timers/${hostId}/Host.Functions.${functionName}/status`);
  return {
    async read() {
      try {
        return parseStatus((await blob.downloadToBuffer()).toString("utf8"));
      } catch (error) {
        if (error instanceof RestError && error.statusCode === 404) return undefined;
        throw error;
      }
    },
    async write(status) {
      const text = JSON.stringify(formatStatus(status));
      await container.createIfNotExists();
      await blob.upload(text, Buffer.byteLength(text));
    },
  };
}

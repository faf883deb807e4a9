import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { BlobServiceClient } from "@azure/storage-blob";
import type { LocalStorage } from "@leeward/azure-local/storage";
import { z } from "zod";
import { TARGET_ACCOUNT } from "../supervisor/cloud.ts";

/**
 * The target's progress from the item's own record in the target account: the demo reads the store itself, not the
 * app's report.
 */
export interface ProgressView {
  readonly applied: number;
  /** Above `applied` while a batch is under way. */
  readonly intent: number;
  readonly generation: number;
  readonly holder: string | undefined;
  readonly stopped: string | undefined;
}

const RECORD = z.object({
  body: z.object({
    applied: z.object({ epoch: z.number() }),
    intent: z.object({ epoch: z.number() }),
    generation: z.number(),
    holder: z.string().optional(),
    stopped: z.object({ message: z.string() }).optional(),
  }),
});

export async function readProgress(storage: LocalStorage, itemId: string): Promise<ProgressView> {
  const service = BlobServiceClient.fromConnectionString(storage.account(TARGET_ACCOUNT).connectionString);
  // In one request: the SDK's `downloadToBuffer` asks for the length first, and the record may have grown before the
  // second.
  const answer = await service.getContainerClient(`leeward-item-${itemId}`).getBlobClient("progress.json").download();
  const { body } = RECORD.parse(JSON.parse(await text(answer.readableStreamBody ?? Readable.from([]))));
  return {
    applied: body.applied.epoch,
    intent: body.intent.epoch,
    generation: body.generation,
    holder: body.holder,
    stopped: body.stopped?.message,
  };
}

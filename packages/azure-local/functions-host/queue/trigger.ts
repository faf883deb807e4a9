import { QueueServiceClient } from "@azure/storage-queue";
import { z } from "zod";
import { LocalError } from "../../errors.ts";
import { parseTrigger } from "../functions.ts";
import { openStorage, resolveText, STORAGE_OPTIONS } from "../settings.ts";
import type { TriggerKind } from "../trigger.ts";
import { createQueueListener } from "./listener.ts";
import { poisonQueueName } from "./message.ts";

const queueTrigger = z.object({ queueName: z.string().min(1), connection: z.string().optional() });

export const QUEUE_TRIGGER: TriggerKind = {
  type: "queuetrigger",
  outputTypes: [],
  manualInput: (text) => ({
    data: { string: text },
    metadata: { QueueTrigger: { string: text }, Id: { string: "" }, DequeueCount: { json: "0" } },
  }),
  prepare(hostFunction, context) {
    const usedBy = `Function ${hostFunction.name} (queueTrigger)`;
    const { queueName, connection } = parseTrigger(queueTrigger, hostFunction);
    // The real host lower-cases the name too.
    const name = resolveText(queueName, context.settings, usedBy).toLowerCase();
    if (!/^[a-z\d](-?[a-z\d])*$/.test(name) || name.length < 3 || name.length > 63) {
      throw new LocalError("configuration-invalid", `${usedBy}: "${name}" is not a name for a queue.`, {
        function: hostFunction.name,
      });
    }
    const setting = connection === undefined ? undefined : resolveText(connection, context.settings, usedBy);
    const service = openStorage(setting, context.settings, usedBy, (text) =>
      QueueServiceClient.fromConnectionString(text, STORAGE_OPTIONS),
    );
    const poisonName = poisonQueueName(name);
    return createQueueListener({
      hostFunction,
      context,
      queue: service.getQueueClient(name),
      poisonQueue: poisonName === undefined ? undefined : service.getQueueClient(poisonName),
    });
  },
};

import { hasCode } from "../errors.ts";

/** What was found, or undefined when the record is damaged: for those whom the loss of it must not keep from their work. */
export async function unlessDamaged<Found>(reading: Promise<Found>): Promise<Found | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (hasCode(error, "record-corrupt")) return undefined;
    throw error;
  }
}

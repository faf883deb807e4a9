import { ArmError } from "../engine/arm-error.ts";
import type { ResourceRecord, Runtime, World } from "../engine/resource-type.ts";
import { MACHINE } from "../types/machine-body.ts";
import { boot, bringUp, virtualMachines, withPower } from "../types/virtual-machines.ts";

/** The machines that ran when the cloud ended and were not stopped since. */
const running = (world: World): readonly ResourceRecord[] =>
  world.ofType(virtualMachines.name).filter((record) => record.hidden["power"] === "running");

type Transaction = (work: () => void) => void;

/**
 * Restores the machines that ran, with their disks, without their services. Runs before interrupted operations resume.
 */
export async function bootMachines(runtime: Runtime, transaction: Transaction): Promise<void> {
  for (const record of running(runtime.world())) await resume(record, boot, runtime, transaction);
}

/** Starts their services too. A busy machine is brought up, or down, by its own operation. */
export async function bringUpMachines(
  runtime: Runtime,
  transaction: Transaction,
  isBusy: (key: string) => boolean,
): Promise<void> {
  for (const record of running(runtime.world()).filter(({ key }) => !isBusy(key)))
    await resume(record, bringUp, runtime, transaction);
}

/** A machine that fails to start reports it in its resource: the cloud still starts. */
async function resume(
  record: ResourceRecord,
  how: typeof bringUp | typeof boot,
  runtime: Runtime,
  transaction: Transaction,
): Promise<void> {
  const read = (found: ResourceRecord) => ({ ...found, body: MACHINE.parse(found.body) });
  /** A machine that was stopped or deleted meanwhile stays as it is. */
  const note = (change: (current: ReturnType<typeof read>, world: World) => ResourceRecord): void =>
    transaction(() => {
      const world = runtime.world();
      const current = world.find(record.id);
      if (current?.hidden["power"] === "running") world.put(change(read(current), world));
    });
  try {
    const result = await how(read(record), runtime);
    if (result !== undefined) note((current, world) => withPower(current, "running", world, result));
  } catch (error) {
    if (!(error instanceof ArmError)) throw error;
    const lastError = { code: error.code, message: error.message };
    note((current) => ({
      ...current,
      provisioningState: "Failed",
      hidden: { ...current.hidden, power: "stopped", lastError },
    }));
  }
}

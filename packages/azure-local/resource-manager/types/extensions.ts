import { z } from "zod";
import { ArmError, notSupported } from "../engine/arm-error.ts";
import { isObject } from "../engine/json.ts";
import type { ResourceRecord, ResourceType, Runtime, Verb, World } from "../engine/resource-type.ts";
import { readCommand } from "../machines/machine-program.ts";
import { extensionView } from "./instance-view.ts";
import { COMMON_NAME, COMPUTE_VERSION, TAGS } from "./shapes.ts";
import { vmIdOf } from "./virtual-machines.ts";

const BODY = z.looseObject({
  ...TAGS,
  properties: z.looseObject({
    publisher: z.string(),
    type: z.string(),
    typeHandlerVersion: z.string(),
    autoUpgradeMinorVersion: z.boolean().optional(),
    settings: z.looseObject({}).optional(),
    protectedSettings: z.looseObject({}).optional(),
  }),
});
type Body = z.infer<typeof BODY>;

const install: Verb<Body> = {
  form: "async-operation",
  durationMs: 15_000,
  state: "Creating",
  check: refuseWhenOff,
  work: (record, runtime) =>
    runtime.machines.install(machineOf(record, runtime), readCommand(record.hidden["protectedSettings"])),
  settle: (record) => ({ ...record, hidden: { ...record.hidden, wasInstalled: true } }),
};

const uninstall: Verb<Body> = {
  form: "async-operation-and-location",
  durationMs: 5_000,
  state: "Deleting",
  check: refuseWhenOff,
  work: (record, runtime) => runtime.machines.uninstall(machineOf(record, runtime)),
};

/** Only the CustomScript extension, with a command that the programs of this cloud know (docs/resource-manager.md). */
export const extensions: ResourceType<Body> = {
  name: "Microsoft.Compute/virtualMachines/extensions",
  apiVersion: COMPUTE_VERSION,
  naming: COMMON_NAME,
  schema: BODY,
  members: [],
  etagInBody: false,
  put: { ...install, created: 201, updated: 200 },
  patch: "as-put",
  delete: uninstall,
  actions: {},
  admit: (draft, world, previous) => {
    const { publisher, type, protectedSettings, ...properties } = draft.body.properties;
    if (`${publisher}/${type}`.toLowerCase() !== "microsoft.azure.extensions/customscript") {
      throw notSupported(`the extension ${publisher}/${type}`);
    }
    if (properties["protectedSettingsFromKeyVault"] !== undefined)
      throw notSupported("settings of extensions from a key vault");
    const others = world.children(draft.parentKey ?? "").filter((other) => other.key !== draft.key);
    if (others.length > 0) {
      throw new ArmError(
        409,
        "BadRequest",
        `Multiple VMExtensions per handler not supported for OS type 'Linux'. VMExtension '${others[0]?.name}' is there.`,
      );
    }
    const secret = protectedSettings ?? previous?.hidden["protectedSettings"];
    world.facts.checkCommand(readCommand(secret));
    return {
      ...draft,
      hidden: { ...draft.hidden, protectedSettings: secret },
      body: { ...draft.body, properties: { autoUpgradeMinorVersion: false, publisher, type, ...properties } },
    };
  },
  project: (record, _world, query) => {
    const isExpanded = query.get("$expand")?.toLowerCase() === "instanceview";
    return { properties: isExpanded ? { instanceView: extensionView(record) } : {} };
  },
};

function refuseWhenOff(record: ResourceRecord<Body>, world: World): void {
  const machine = world.find(record.parentKey ?? "");
  if (machine !== undefined && isObject(machine.hidden) && machine.hidden["power"] === "running") return;
  throw new ArmError(409, "OperationNotAllowed", "Cannot modify extensions in the VM when the VM is not running.");
}

function machineOf(record: ResourceRecord<Body>, runtime: Runtime): string {
  const machine = runtime.world().find(record.parentKey ?? "");
  if (machine === undefined)
    throw new ArmError(404, "ParentResourceNotFound", `The machine of extension ${record.name} is gone.`);
  return vmIdOf(machine);
}

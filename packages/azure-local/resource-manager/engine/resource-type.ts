import type { z } from "zod";
import type { DiskFiles } from "../disks/disk-files.ts";
import type { ScriptCommand } from "../machines/machine-program.ts";
import type { Machines } from "../machines/machines.ts";
import type { ArmError } from "./arm-error.ts";
import type { JsonObject } from "./json.ts";
import type { LongRunningForm } from "./operation-record.ts";

/** What clients write and read, without id, name, type and location. */
export interface ResourceBody {
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly properties: JsonObject;
}

/** One resource as stored. */
export interface ResourceRecord<Body extends ResourceBody = ResourceBody> {
  /** With the names as first written. */
  readonly id: string;
  /** The id in lower case. */
  readonly key: string;
  readonly type: string;
  readonly name: string;
  readonly groupKey: string;
  readonly parentKey: string | undefined;
  readonly location: string;
  readonly body: Body;
  /** Never answered: secrets, file names, power states. */
  readonly hidden: JsonObject;
  readonly provisioningState: string;
  readonly etag: string;
}

/** Where a body names another resource. */
interface NamedResource {
  readonly id: string;
  /** Where in the body, as in `ipConfigurations/primary`: the other resource shows it. */
  readonly path?: string;
}

/**
 * How resources of a type name other ones. It follows that the other one must exist, be ready and in the same region;
 * it cannot be deleted meanwhile; and it shows its users.
 */
export interface ReferenceRule<Body extends ResourceBody = ResourceBody> {
  /** The only type allowed there; several for a source of either type. */
  readonly types: readonly string[];
  find(body: Body): readonly NamedResource[];
  /** The resource is made from the other one: it is checked once, then, and may be deleted afterwards. */
  readonly isSource?: true;
  /** The other one may have only one such user. */
  readonly exclusive?: true;
  /**
   * The other one's property that shows its users: `{ id }` where only one is allowed, otherwise a list, absent while
   * there are none. The engine shows it, and removes it from what a client sends back.
   */
  readonly shownAs?: string;
  /** Microsoft.Compute answers some of these ids so: exact comparisons of ids show up here. */
  readonly isShownInUpperCase?: true;
}

/** A named resource, and the rule. */
export interface Reference extends NamedResource {
  readonly rule: ReferenceRule;
}

/** Creating, changing, deleting or an action, as a long-running operation or at once. */
export interface Verb<Body extends ResourceBody = ResourceBody> {
  readonly form: LongRunningForm;
  /** Azure's typical duration, in milliseconds; the local cloud waits a share of it. */
  readonly durationMs: number;
  /** The provisioning state while it runs; undefined: unchanged. */
  readonly state?: string;
  /** Refuses, or returns what the work needs. */
  check?(record: ResourceRecord<Body>, world: World, input: unknown): JsonObject | void;
  /** The slow part. Repeated after a kill, so it must be idempotent. An ArmError fails the operation with its code. */
  work?(record: ResourceRecord<Body>, runtime: Runtime, input: JsonObject): Promise<JsonObject | void>;
  /** What it takes beyond `durationMs` for what it moved or made, in milliseconds, from the result of the work. */
  bySizeMs?(record: ResourceRecord<Body>, result: JsonObject): number;
  /** The hidden `transition` while it runs, as in "stopping". */
  readonly transition?: string;
  /** What failure changes beside the resource's state. */
  failed?(record: ResourceRecord<Body>, world: World): void;
  /** What success changes, from the result of the work (without work: of the check). */
  settle?(record: ResourceRecord<Body>, world: World, result: JsonObject): ResourceRecord<Body>;
  /** The operation's final answer, from the same result. */
  result?(result: JsonObject): JsonObject;
  /** The answer of an action done at once. */
  answer?(record: ResourceRecord<Body>, world: World, input: unknown): JsonObject;
}

/** A read below the resource. */
interface View<Body extends ResourceBody> {
  show(record: ResourceRecord<Body>, world: World): JsonObject;
}

/** One entry in the table of types (docs: CONTRIBUTING.md, "Add a resource type"). */
export interface ResourceType<Body extends ResourceBody = ResourceBody> {
  /** As Azure writes it: `Microsoft.Network/virtualNetworks/subnets`. */
  readonly name: string;
  readonly apiVersion: string;
  readonly naming: RegExp;
  /** Also the source of messages about missing or wrong members. */
  readonly schema: z.ZodType<Body>;
  /** Members beside `properties` to keep and answer, as in "sku". */
  readonly members: readonly string[];
  /** Whether the body carries the ETag, as network resources and machines do. */
  readonly etagInBody: boolean;
  /** True: no provisioningState is answered. */
  readonly hidesState?: boolean;
  /** Children change under their parent's lock. */
  readonly put: Verb<Body> & {
    readonly created: 200 | 201 | 202;
    readonly updated: 200 | 201 | 202;
    readonly withBody?: boolean;
  };
  /**
   * Undefined: PATCH changes tags, at once, and nothing else. "at-once": all that PUT changes, without its operation.
   * "never": Azure has no PATCH of the type.
   */
  readonly patch?: "as-put" | "at-once" | "never";
  readonly delete: Verb<Body>;
  readonly actions: Readonly<Record<string, Verb<Body>>>;
  /** Reads below the resource, as in `instanceView`. */
  readonly views?: Readonly<Record<string, View<Body>>>;
  readonly references?: readonly ReferenceRule<Body>[];
  /** The refusal of a delete while `user` names the resource, or of a second user where only one may be. */
  inUse?(record: ResourceRecord<Body>, user: ResourceRecord): ArmError;
  /** Refuses the impossible, and completes the draft with defaults and what Azure fills in. */
  admit?(draft: ResourceRecord<Body>, world: World, previous: ResourceRecord<Body> | undefined): ResourceRecord<Body>;
  /** Members and properties computed on every read. */
  project?(
    record: ResourceRecord<Body>,
    world: World,
    query: URLSearchParams,
  ): { readonly members?: JsonObject; readonly properties?: JsonObject };
}

/** What a type may ask and change, inside one transaction. */
export interface World {
  readonly nowMs: number;
  readonly facts: CloudFacts;
  readonly newGuid: () => string;
  find(id: string): ResourceRecord | undefined;
  /** As `find`, but may miss what was just created: for what a change names. */
  named(id: string): ResourceRecord | undefined;
  /** As `named`, and may still find what was just removed: for reads. */
  seen(id: string): ResourceRecord | undefined;
  /** The resources directly below this one. */
  children(id: string): readonly ResourceRecord[];
  ofType(type: string): readonly ResourceRecord[];
  inGroup(groupKey: string): readonly ResourceRecord[];
  /** Who names this resource, and where. */
  usersOf(id: string): readonly { readonly record: ResourceRecord; readonly reference: Reference }[];
  /** Recent former users that still count as users. */
  formerUsersOf(id: string): readonly { readonly record: ResourceRecord; readonly reference: Reference }[];
  put(record: ResourceRecord): void;
  remove(key: string): void;
  typeOf(name: string): ResourceType;
  /** The properties in which resources of a type show their users. */
  shownOn(type: string): readonly string[];
}

/** What an operation's work may touch. */
export interface Runtime {
  readonly disks: DiskFiles;
  readonly machines: Machines;
  readonly world: () => World;
}

/** What exists here beside resources. */
export interface CloudFacts {
  readonly url: string;
  readonly regions: readonly string[];
  /** The operations' share of Azure's durations. */
  readonly pace: number;
  readonly accounts: readonly StorageAccountFacts[];
  /** The core limit of a family, or of all of them for "cores". */
  quota(region: string, family: string): number;
  isRestricted(region: string, size: string): boolean;
  /** Errors: ArmError `VMExtensionProvisioningError` for a command that no machine here can run. */
  checkCommand(command: ScriptCommand): void;
}

/** A storage account that runs here. */
export interface StorageAccountFacts {
  readonly name: string;
  readonly region: string;
  readonly blobUrl: string;
  readonly queueUrl: string;
  readonly key: string;
}

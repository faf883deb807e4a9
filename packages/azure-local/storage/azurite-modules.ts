/**
 * The parts of Azurite that the local cloud uses, with the few shapes it relies on. Azurite is CommonJS, ships no types
 * and declares no public modules: only this file relies on its internals, and only for one version. It holds the casts
 * of `storage/`.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { Readable } from "node:stream";
import { LocalError } from "../errors.ts";

/**
 * The mends change private functions, so no other version may slip in: the contract tests in test/services/storage
 * decide on an upgrade.
 */
const AZURITE_VERSION = "3.37.0";

/** Loads Azurite once; the first call takes about a second. Throws `internal` when another version is installed. */
export function loadAzurite(): Azurite {
  loaded ??= load();
  return loaded;
}

export interface Azurite {
  readonly blobServer: new (configuration: object) => BlobServer;
  readonly blobConfiguration: new (...positional: readonly unknown[]) => object;
  readonly queueServer: new (configuration: object) => AzuriteServer;
  readonly queueConfiguration: new (...positional: readonly unknown[]) => object;
  readonly memoryChunkStore: new (sizeLimitBytes: number) => object;
  readonly blobMetadataStore: BlobMetadataStore;
  readonly pageBlobHandler: PageBlobHandler;
  readonly checksums: ChecksumFunctions;
  /** Of blobs and of queues. */
  readonly keyAuthenticators: readonly Authenticator[];
  readonly userDelegationKeyValue: (...parts: readonly string[]) => string;
  readonly blobApiVersion: string;
  readonly storageError: new (status: number, code: string, message: string, requestId: string | undefined) => Error;
  readonly blobOperations: Readonly<Record<number, string | undefined>>;
  readonly queueOperations: Readonly<Record<number, string | undefined>>;
}

/** The common part of both kinds of server. */
export interface AzuriteServer {
  readonly httpServer: Server;
  readonly metadataStore: LokiStore;
  readonly extentMetadataStore: LokiStore;
  readonly extentStore: { deleteExtents(extents: Iterable<string>): Promise<number>; init(): Promise<void> };
  readonly accountDataStore: { accounts: Record<string, AzuriteAccount>; refresh(): void };
  start(): Promise<void>;
  close(): Promise<void>;
  /** Stops what `start` began before taking the port. */
  afterClose(): Promise<void>;
  getHttpServerAddress(): string;
}

interface BlobServer extends AzuriteServer {
  readonly metadataStore: BlobMetadataStore;
}

interface AzuriteAccount {
  readonly name: string;
  readonly key1: Buffer;
  readonly key2: Buffer | undefined;
}

/** Decides by the account's keys: true lets the request in, undefined leaves it to the next one. */
export interface Authenticator {
  validate(request: { getHeader(name: string): string | undefined }, context: unknown): Promise<boolean | undefined>;
}

export interface LokiStore {
  readonly db: LokiDatabase;
  init(): Promise<void>;
}

export interface LokiDatabase {
  readonly filename: string;
  readonly collections: readonly LokiCollection[];
  autosave: boolean;
  autosaveDisable(): void;
  getCollection(name: string): LokiCollection | null;
  addCollection(name: string): LokiCollection;
  saveDatabase(callback?: (error?: unknown) => void): void;
}

type LokiEvent = "pre-insert" | "insert" | "update" | "delete";

interface LokiCollection {
  readonly name: string;
  readonly data: readonly LokiDocument[];
  readonly events: Readonly<Record<LokiEvent, readonly unknown[]>>;
  on(event: LokiEvent, listener: (document: LokiDocument) => void): unknown;
  findOne(query: Readonly<Record<string, unknown>>): LokiDocument | null;
  ensureAllIndexes(force: boolean): void;
  insert(document: LokiDocument): LokiDocument;
  update(document: LokiDocument): LokiDocument;
}

/** A document of any collection, with the fields by which the mends know blobs; other fields are kept unread. */
export interface LokiDocument {
  readonly $loki?: number;
  name?: string;
  snapshot?: string;
  properties?: BlobProperties;
  pageRangesInOrder?: PageRange[];
  committedBlocksInOrder?: object[];
  leaseExpireTime?: Date | string;
  leaseBreakTime?: Date | string;
  /** Only in the marker document of the redo log. */
  firstLog?: number;
}

interface BlobProperties {
  contentLength?: number;
  contentType?: string;
  blobType?: string;
  etag?: string;
  creationTime?: Date | string;
  lastModified?: Date | string;
  copyCompletionTime?: Date | string;
  accessTierChangeTime?: Date | string;
}

/**
 * `start` and `end` are inclusive byte offsets in the blob; its content is at `offset` of extent `id`. Azurite replaces
 * ranges, it never edits one.
 */
export interface PageRange {
  readonly start: number;
  readonly end: number;
  readonly persistency: { readonly id: string; readonly offset: number; readonly count: number };
}

export interface RequestContext {
  readonly contextId: string | undefined;
  readonly startTime: Date;
  readonly request: { getQuery(name: string): string | undefined; getHeader(name: string): string | undefined };
  /** The parts of the address, as parsed by the context middleware. */
  readonly context: { readonly account: string; readonly container: string; readonly blob: string };
}

export interface BlobMetadataStore extends LokiStore {
  readonly BLOBS_COLLECTION: string;
  createSnapshot(
    context: RequestContext,
    account: string,
    container: string,
    blob: string,
    ...rest: readonly unknown[]
  ): Promise<unknown>;
  getPageRanges(
    context: RequestContext,
    account: string,
    container: string,
    blob: string,
    snapshot: string | undefined,
  ): Promise<BlobPages>;
  uploadPages(
    context: RequestContext,
    blob: LokiDocument,
    start: number,
    end: number,
    ...rest: readonly unknown[]
  ): Promise<unknown>;
  clearRange(
    context: RequestContext,
    blob: LokiDocument,
    start: number,
    end: number,
    ...rest: readonly unknown[]
  ): Promise<unknown>;
}

export interface BlobPages {
  readonly properties: BlobProperties;
  readonly pageRangesInOrder: readonly PageRange[] | undefined;
}

export interface PageBlobHandler {
  readonly metadataStore: BlobMetadataStore;
  create(
    contentLength: number,
    blobContentLengthBytes: number,
    options: unknown,
    context: RequestContext,
  ): Promise<unknown>;
  resize(blobContentLengthBytes: number, options: unknown, context: RequestContext): Promise<unknown>;
  uploadPages(body: Readable, contentLengthBytes: number, options: unknown, context: RequestContext): Promise<unknown>;
  getPageRanges(options: { readonly snapshot?: string }, context: RequestContext): Promise<PageRangesAnswer>;
}

interface PageRangesAnswer {
  pageRange: readonly ByteRange[];
  clearRange?: readonly ByteRange[];
}

/** Inclusive at both ends. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

interface ChecksumFunctions {
  computeTransactionalChecksums(stream: Readable, expected: ChecksumWish, force?: ChecksumForce): Promise<Checksums>;
}
/** Only a value's presence matters here; Azurite compares later. */
interface ChecksumWish {
  readonly md5?: unknown;
  readonly crc64?: unknown;
}
interface ChecksumForce {
  readonly md5?: boolean;
  readonly crc64?: boolean;
}
export interface Checksums {
  readonly md5: Uint8Array | undefined;
  readonly crc64: Uint8Array | undefined;
}

export type StorageService = "blob" | "queue";

/**
 * What Azurite knows about a request when it answers; the operation is undefined when it was refused before it was
 * recognised.
 */
export interface RequestFacts {
  readonly operation: string | undefined;
  /** The container or the queue. */
  readonly container: string;
  readonly blob: string;
}

export function requestFacts(azurite: Azurite, service: StorageService, response: ServerResponse): RequestFacts {
  const locals = (response as unknown as { locals?: Record<string, RawContext | undefined> }).locals;
  const raw = locals?.[`azurite_${service}_context`];
  const names = service === "blob" ? azurite.blobOperations : azurite.queueOperations;
  return {
    operation: raw?.operation === undefined ? undefined : names[raw.operation],
    container: (service === "blob" ? raw?.container : raw?.queue) ?? "",
    blob: (service === "blob" ? raw?.blob : raw?.message) ?? "",
  };
}

interface RawContext {
  readonly operation?: number;
  readonly container?: string;
  readonly blob?: string;
  readonly queue?: string;
  readonly message?: string;
}

/** Removes Azurite's own handler from the server, so that another can run in front of it. */
export function takeRequestListener(server: Server): (request: IncomingMessage, response: ServerResponse) => void {
  const [listener, ...others] = server.listeners("request");
  if (listener === undefined || others.length > 0) throw changed("the request listener of a server");
  server.removeAllListeners("request");
  return listener as (request: IncomingMessage, response: ServerResponse) => void;
}

/** The text of a database file; other faults show when it is applied. */
export function parseDatabase(text: string): DatabaseFile {
  return JSON.parse(text) as DatabaseFile;
}
export interface DatabaseFile {
  readonly collections: CollectionFile[];
}
export interface CollectionFile {
  readonly name: string;
  data: LokiDocument[];
  idIndex: unknown;
  maxId: number;
  readonly binaryIndices: Record<string, { name: string; dirty: boolean; values: number[] }>;
}

let loaded: Azurite | undefined;

function load(): Azurite {
  const require = createRequire(import.meta.url);
  const { version } = require("azurite/package.json") as { version: string };
  if (version !== AZURITE_VERSION) throw changed(`the version: ${version} is installed, ${AZURITE_VERSION} is needed`);
  // The logger comes first, otherwise every request is logged to the console.
  (require("azurite/dist/src/common/Logger") as { configLogger(enable: boolean): void }).configLogger(false);
  const telemetry = require("azurite/dist/src/common/Telemetry") as {
    AzuriteTelemetryClient: { init(location: string, enable: boolean, environment: unknown): void };
  };
  telemetry.AzuriteTelemetryClient.init("", false, undefined);
  return {
    blobServer: (require("azurite/dist/src/blob/BlobServer") as Default<Azurite["blobServer"]>).default,
    blobConfiguration: (require("azurite/dist/src/blob/BlobConfiguration") as Default<Azurite["blobConfiguration"]>)
      .default,
    queueServer: (require("azurite/dist/src/queue/QueueServer") as Default<Azurite["queueServer"]>).default,
    queueConfiguration: (require("azurite/dist/src/queue/QueueConfiguration") as Default<Azurite["queueConfiguration"]>)
      .default,
    memoryChunkStore: (
      require("azurite/dist/src/common/persistence/MemoryExtentStore") as {
        MemoryExtentChunkStore: Azurite["memoryChunkStore"];
      }
    ).MemoryExtentChunkStore,
    blobMetadataStore: (
      require("azurite/dist/src/blob/persistence/LokiBlobMetadataStore") as Default<{
        prototype: Azurite["blobMetadataStore"];
      }>
    ).default.prototype,
    pageBlobHandler: (
      require("azurite/dist/src/blob/handlers/PageBlobHandler") as Default<{ prototype: Azurite["pageBlobHandler"] }>
    ).default.prototype,
    checksums: require("azurite/dist/src/common/utils/utils") as Azurite["checksums"],
    keyAuthenticators: [
      "azurite/dist/src/blob/authentication/BlobSharedKeyAuthenticator",
      "azurite/dist/src/queue/authentication/QueueSharedKeyAuthenticator",
    ].map((name) => (require(name) as Default<{ prototype: Authenticator }>).default.prototype),
    userDelegationKeyValue: (
      require("azurite/dist/src/blob/utils/utils") as {
        getUserDelegationKeyValue: Azurite["userDelegationKeyValue"];
      }
    ).getUserDelegationKeyValue,
    blobApiVersion: (require("azurite/dist/src/blob/utils/constants") as { BLOB_API_VERSION: string }).BLOB_API_VERSION,
    storageError: (require("azurite/dist/src/blob/errors/StorageError") as Default<Azurite["storageError"]>).default,
    blobOperations: (
      require("azurite/dist/src/blob/generated/artifacts/operation") as { Operation: Azurite["blobOperations"] }
    ).Operation,
    queueOperations: (
      require("azurite/dist/src/queue/generated/artifacts/operation") as { Operation: Azurite["queueOperations"] }
    ).Operation,
  };
}

interface Default<T> {
  readonly default: T;
}

/** The error for anything in Azurite that differs from version 3.37.0. */
export function changed(what: string): LocalError {
  return new LocalError("internal", `Azurite is not as expected: ${what}`, { expectedVersion: AZURITE_VERSION });
}

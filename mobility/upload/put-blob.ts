import { createHash } from "node:crypto";
import { UPLOADS_IN_FLIGHT } from "../../replication/limits.ts";
import { deltaName } from "../../replication/names.ts";
import type { SpooledDelta } from "../epochs/spool.ts";
import { FILE_PIECE_BYTES, UPLOAD_TIMEOUT_MS } from "../limits.ts";
import type { Files } from "../system/files.ts";
import type { Pace } from "../system/pace.ts";
import type { HttpAnswer, HttpRequest, Transport } from "../system/transport.ts";

/** The meaning of the cache's answer to a Put Blob. */
export type PutOutcome =
  | { readonly kind: "created" }
  /** A blob of this name exists; only the control plane can say whether it is ours. */
  | { readonly kind: "exists" }
  /**
   * The same, or the identity that signed the credential may not write here: the control plane can say whether a blob
   * exists.
   */
  | { readonly kind: "exists-or-refused"; readonly reason: string }
  /** The credential is expired or wrong: the next heartbeat brings another. */
  | { readonly kind: "refused"; readonly reason: string }
  /** The received data does not match the checksum: damaged on the way, or in the spool since the delta was sealed. */
  | { readonly kind: "damaged" }
  | { readonly kind: "failed"; readonly reason: string };

/** Any version that knows SAS versions in use; Put Blob takes 5000 MiB since 2019-12-12. */
const STORAGE_VERSION = "2021-12-02";

export interface PutOptions {
  readonly files: Files;
  readonly transport: Transport;
  /** Carries the SAS. */
  readonly containerUrl: string;
  readonly delta: SpooledDelta;
  readonly signal: AbortSignal;
  readonly pace?: Pace;
}

/** Sends one delta, create only. Throws `control-unavailable` when no answer came: the blob may exist then. */
export async function putDelta({
  files,
  transport,
  containerUrl,
  delta,
  signal,
  pace,
}: PutOptions): Promise<PutOutcome> {
  const request: HttpRequest = {
    method: "PUT",
    url: blobUrl(containerUrl, deltaName(delta.end.stream, delta.end.epoch)),
    headers: {
      "x-ms-blob-type": "BlockBlob",
      "x-ms-version": STORAGE_VERSION,
      "if-none-match": "*",
      "content-type": "application/octet-stream",
      "content-md5": delta.md5 ?? (await fileMd5(files, delta.path)),
    },
    body: { kind: "file", path: delta.path, lengthBytes: delta.lengthBytes, pace },
    timeoutMs: UPLOAD_TIMEOUT_MS + UPLOADS_IN_FLIGHT * (pace?.durationMs(delta.lengthBytes) ?? 0),
    signal,
  };
  return putOutcome(await transport.send(request));
}

/** The address of a blob in the container that a SAS address names: the only place where the service joins the two. */
export function blobUrl(containerUrl: string, name: string): URL {
  const url = new URL(containerUrl);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${name}`;
  return url;
}

/**
 * A create-only credential may not overwrite, so an existing blob can also show as 403: UnauthorizedBlobOverwrite on
 * Azure, and AuthorizationPermissionMismatch where that code is not known (Azurite). On Azure the latter also means
 * that the identity's role is missing, or not propagated everywhere yet.
 */
export function putOutcome(answer: HttpAnswer): PutOutcome {
  const code = storageErrorCode(answer);
  const reason = `${answer.status}${code === "" ? "" : ` ${code}`}`;
  if (answer.status === 201) return { kind: "created" };
  if (EXISTS.has(code)) return { kind: "exists" };
  if (code === "AuthorizationPermissionMismatch") return { kind: "exists-or-refused", reason };
  if (answer.status === 409 && code === "") return { kind: "exists" };
  if (code === "Md5Mismatch") return { kind: "damaged" };
  if (answer.status === 401 || answer.status === 403) return { kind: "refused", reason };
  return { kind: "failed", reason };
}

const EXISTS: ReadonlySet<string> = new Set(["BlobAlreadyExists", "UnauthorizedBlobOverwrite"]);

/** From the header, else from the XML body; letters and digits only, so that no part of the request gets into a log. */
function storageErrorCode({ headers, body }: HttpAnswer): string {
  const header = headers["x-ms-error-code"];
  const code = typeof header === "string" ? header : (/<Code>([A-Za-z0-9]+)<\/Code>/.exec(body)?.[1] ?? "");
  return /^[A-Za-z0-9]{1,80}$/.test(code) ? code : "";
}

/** Read in pieces: the event loop serves the guest meanwhile. */
async function fileMd5(files: Files, path: string): Promise<string> {
  const hash = createHash("md5");
  const file = await files.openLater(path, "r");
  try {
    const buffer = Buffer.allocUnsafe(FILE_PIECE_BYTES);
    for (let doneBytes = 0; ;) {
      const count = await files.readLater(file, buffer, 0, buffer.length, doneBytes);
      if (count === 0) return hash.digest("base64");
      hash.update(buffer.subarray(0, count));
      doneBytes += count;
    }
  } finally {
    await files.closeLater(file);
  }
}

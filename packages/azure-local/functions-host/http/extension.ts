import type { IncomingHttpHeaders } from "node:http";
import type { WireResponse } from "./messages.ts";

/** A part of the host that answers paths of its own, beside the functions of the app and `/admin`. */
export interface HttpExtension {
  owns(path: string): boolean;
  answer(request: ExtensionRequest): Promise<WireResponse>;
}

interface ExtensionRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
  /** The key that the request shows, unchecked. */
  readonly key: string | undefined;
}

import type { IncomingHttpHeaders } from "node:http";
import type { WireResponse } from "./messages.ts";

/** A part of the host with its own paths, beside the app's functions and `/admin`. */
export interface HttpExtension {
  owns(path: string): boolean;
  answer(request: ExtensionRequest): Promise<WireResponse>;
}

interface ExtensionRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
  /** The key in the request, unchecked. */
  readonly key: string | undefined;
}

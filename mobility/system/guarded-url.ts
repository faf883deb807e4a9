import { LeewardError } from "../../replication/errors.ts";

/** Data sent there cannot be read on the way: it is https, or does not leave this machine. */
export function isGuarded({ protocol, hostname }: URL): boolean {
  return protocol === "https:" || (protocol === "http:" && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname));
}

/** Tokens and the SAS are sent in these calls. Throws `configuration-invalid`. */
export function controlUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && isGuarded(url)) return url;
  throw new LeewardError("configuration-invalid", "apiUrl must be an https address; http is for this machine only.", {
    option: "apiUrl",
  });
}

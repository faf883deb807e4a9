import { z } from "zod";

/** Shapes that several types share. */
export const TAGS = { tags: z.record(z.string(), z.string()).optional() };
export const ID = z.looseObject({ id: z.string() });
export const SKU = z.looseObject({ name: z.string(), tier: z.string().optional() });
export const ZONES = { zones: z.array(z.string()).optional() };

/** 1 to 80 letters, digits, hyphens, dots and underscores: most of Microsoft.Network and Microsoft.Compute. */
export const COMMON_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?$/;

/** How Microsoft.Network creates, changes and deletes. */
export const NETWORK_PUT = {
  form: "async-operation",
  durationMs: 3_000,
  state: "Updating",
  created: 201,
  updated: 200,
} as const;
export const NETWORK_DELETE = { form: "async-operation-and-location", durationMs: 5_000, state: "Deleting" } as const;
export const NETWORK_VERSION = "2026-01-01";
export const COMPUTE_VERSION = "2026-04-01";
export const DISK_VERSION = "2026-03-02";

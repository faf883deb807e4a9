/** A block of IPv4 addresses, as in 10.0.0.0/16. */
export interface Block {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

/** Undefined for no block: wrong form, or host bits set. */
export function parseBlock(text: string): Block | undefined {
  const [address = "", bits = "", ...more] = text.split("/");
  const first = parseAddress(address);
  const prefixBits = Number(bits);
  if (first === undefined || more.length > 0 || !/^\d{1,2}$/.test(bits) || prefixBits > 32) return undefined;
  const size = 2 ** (32 - prefixBits);
  return first % size === 0 ? { first, last: first + size - 1 } : undefined;
}

export function parseAddress(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join(".");
}

export const contains = (outer: Block, inner: Block): boolean => outer.first <= inner.first && inner.last <= outer.last;
export const overlap = (one: Block, other: Block): boolean => one.first <= other.last && other.first <= one.last;

/** Azure reserves a subnet's first four addresses and the last one. */
export const isReserved = (block: Block, address: number): boolean =>
  address < block.first + 4 || address === block.last;

import { AZURE_ADDRESSES_RESERVED_FIRST, AZURE_ADDRESSES_RESERVED_LAST } from "../limits.ts";

/** An IPv4 range, both ends included, as numbers. */
export interface AddressRange {
  readonly first: number;
  readonly last: number;
}

/** Undefined unless the text is four decimal numbers of at most 255, without leading zeros. */
export function parseAddress(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const octets = match?.slice(1) ?? [];
  if (octets.length !== 4 || octets.some((octet) => Number(octet) > 255 || String(Number(octet)) !== octet))
    return undefined;
  return octets.reduce((value, octet) => value * 256 + Number(octet), 0);
}

export function formatAddress(value: number): string {
  return [16_777_216, 65_536, 256, 1].map((unit) => Math.floor(value / unit) % 256).join(".");
}

/** `10.0.0.0/24`; undefined for other text, and for an address with bits beside the prefix. */
export function parsePrefix(text: string): AddressRange | undefined {
  const [address, length, ...more] = text.split("/");
  const first = parseAddress(address ?? "");
  if (
    first === undefined ||
    length === undefined ||
    more.length > 0 ||
    !/^\d{1,2}$/.test(length) ||
    Number(length) > 32
  )
    return undefined;
  const count = 2 ** (32 - Number(length));
  return first % count === 0 ? { first, last: first + count - 1 } : undefined;
}

export function overlaps(left: AddressRange, right: AddressRange): boolean {
  return left.first <= right.last && right.first <= left.last;
}

export function within(inner: AddressRange, outer: AddressRange): boolean {
  return inner.first >= outer.first && inner.last <= outer.last;
}

/** What VMs may use of a subnet: Azure keeps the first four addresses and the last. Undefined when nothing is left. */
export function usableRange(subnet: AddressRange): AddressRange | undefined {
  const usable = {
    first: subnet.first + AZURE_ADDRESSES_RESERVED_FIRST,
    last: subnet.last - AZURE_ADDRESSES_RESERVED_LAST,
  };
  return usable.first <= usable.last ? usable : undefined;
}

/** The first free address after `after`, then from the beginning; from the beginning when `after` is undefined. */
export function nextFree(
  usable: AddressRange,
  taken: ReadonlySet<number>,
  after: number | undefined,
): number | undefined {
  const begin = after === undefined || after < usable.first || after >= usable.last ? usable.first : after + 1;
  return firstFree(begin, usable.last, taken) ?? firstFree(usable.first, begin - 1, taken);
}

/** The last free address. */
export function lastFree(usable: AddressRange, taken: ReadonlySet<number>): number | undefined {
  // Ends after at most one step more than there are taken addresses.
  for (let address = usable.last; address >= usable.first; address -= 1) if (!taken.has(address)) return address;
  return undefined;
}

function firstFree(from: number, to: number, taken: ReadonlySet<number>): number | undefined {
  for (let address = from; address <= to; address += 1) if (!taken.has(address)) return address;
  return undefined;
}

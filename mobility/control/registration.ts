import { hasCode, LeewardError } from "../../replication/errors.ts";
import { samePosition, startPosition, type DiskDescription, type Position } from "../../replication/position.ts";
import { REGISTER_ATTEMPTS } from "../limits.ts";
import { backOffMs } from "../system/back-off.ts";
import { pause, type Clock } from "../system/clock.ts";
import type { CacheAccount } from "./cache-account.ts";
import type { ControlClient } from "./control-client.ts";
import type { ItemTokens } from "./item-tokens.ts";

export interface RegistrationOptions {
  readonly control: Pick<ControlClient, "register">;
  readonly itemId: string;
  readonly tokens: Pick<ItemTokens, "current" | "keepTicket">;
  readonly cacheAccount: Pick<CacheAccount, "keep">;
  readonly registrationToken: string | undefined;
  readonly machineId: () => Promise<string>;
  readonly bootId: string;
  readonly disks: readonly DiskDescription[];
}

/**
 * Registers the service for its item; returns the start position of the item's open stream. Repeating it after a lost
 * answer is harmless.
 */
export async function registerService(options: RegistrationOptions): Promise<Position> {
  const { control, itemId, tokens, registrationToken, disks } = options;
  if (registrationToken === undefined) {
    throw new LeewardError(
      "configuration-invalid",
      "registrationToken is needed for the first start with this state folder.",
      {
        option: "registrationToken",
      },
    );
  }
  const { stream, start, nonce, ticket, cacheEndpoint } = await control.register({
    registrationToken,
    itemToken: tokens.current(),
    machineId: await options.machineId(),
    bootId: options.bootId,
    disks,
  });
  if (!samePosition(start, startPosition(itemId, stream, disks, nonce))) {
    throw new LeewardError("disk-invalid", "The control plane expects other disks for this item.", {
      item: itemId,
      stream,
    });
  }
  options.cacheAccount.keep(cacheEndpoint);
  tokens.keepTicket(ticket);
  return start;
}

/** For the first start: repeats while that can help, at most REGISTER_ATTEMPTS times. */
export async function repeatRegistration(
  register: () => Promise<Position>,
  clock: Clock,
  random: () => number,
  failed: (error: unknown) => void,
): Promise<Position> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await register();
    } catch (error) {
      if (!hasCode(error, "control-unavailable") || attempt + 1 >= REGISTER_ATTEMPTS) throw error;
      failed(error);
      await pause(clock, backOffMs(attempt, random), new AbortController().signal);
    }
  }
}

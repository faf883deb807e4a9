const EXTENSION = "leeward-mobility";

/** The extension of the source VM that installs the mobility service. */
export const extensionId = (sourceVmId: string): string => `${sourceVmId}/extensions/${EXTENSION}`;

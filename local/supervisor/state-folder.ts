/** Where `npm start` keeps its state, below the current folder; git ignores it. */
export const STATE_FOLDER = ".leeward";
/** Inside it: address and key of the running function app, for the command line. */
export const CONNECTION_FILE = "connection.json";

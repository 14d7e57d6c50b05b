/** Client of the roomcast gateway. See README.md. */

export { Client, type Room } from "./client.js";
export { connect } from "./connect.js";
export { MissedError, RoomcastError, type ErrorCode, type Missed, type MissedCause } from "./error.js";
export type { WebSocketConstructor, WebSocketLike } from "./websocket.js";
export type * from "./types.js";

// Who looks, and what the broker lets them do.
import { read } from "./api.js";

export const operator = { name: undefined, role: "read" };

export async function learn() {
  const who = await read("operator");
  operator.name = who.name;
  operator.role = who.role;
}

export const maySteer = () => operator.role === "admin";

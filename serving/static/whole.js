// A whole clip, made as a job.

import { ask, fail, post } from "./service.js";

const at = (id) => document.getElementById(id);
const SECOND = 1000;

let job = null;

/** Begin: ``file``, and the message that says what is hidden of it, or restored. */
export async function make(file, shown) {
  const button = at("whole");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  at("whole-links").hidden = true;
  at("whole-state").textContent = "Sending it…";
  try {
    const what = shown.type === "restore" ? { task: "restoration" } : { regions: shown.regions.join(",") };
    job = await post("/v1/videos", { video: file, faces: shown.faces, ...what });
    while (job.state === "queued" || job.state === "running") {
      const of = job.frames ? ` of ${job.frames}` : "";
      at("whole-state").textContent = job.state === "queued" ? "Waits to be made…" : `${job.frames_done}${of} frames are made…`;
      await new Promise((resolve) => setTimeout(resolve, SECOND));
      job = await ask(`/v1/videos/${job.id}`);
    }
    if (job.state === "failed") throw new Error(job.detail);
    at("whole-state").textContent = `${job.frames_done} frames are made. It is a guess, not a record of what was there.`;
    at("whole-clip").href = job.result;
    at("whole-record").href = job.record;
    at("whole-links").hidden = false;
  } catch (error) {
    at("whole-state").textContent = "";
    fail(error);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

at("whole-remove").addEventListener("click", async () => {
  try {
    await ask(`/v1/videos/${job.id}`, { method: "DELETE" });
    at("whole-state").textContent = "Removed.";
    at("whole-links").hidden = true;
  } catch (error) {
    fail(error);
  }
});

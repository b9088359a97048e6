// What the page shows and what it leaves out, in words.

const many = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

function paragraph(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

export function about(box, index, entry) {
  const { runs, left_out: left, without, limits } = index;
  const all = runs.length + left.length + without.length;
  const whole = runs.every((run) => run.samples === run.all_samples && run.steps.length === run.all_steps);
  const lines = [`${runs.length} of ${many(all, "run")}${whole ? ", each of them whole" : ""}.`];
  if (left.length) {
    lines.push(
      `Left out for size: ${left.join(", ")}. Runs are taken in turn, the first seed of every dataset, then the second, ` +
        `as long as ${limits.fewest} images of each checkpoint fit into the page.`,
    );
  }
  if (without.length) lines.push(`Without generated images: ${without.join(", ")}.`);
  const parts = [];
  if (entry) {
    parts.push(
      `${entry.run}: ${entry.samples} of ${many(entry.all_samples, "image")} of a checkpoint, ${entry.steps.length} of ` +
        `${many(entry.all_steps, "checkpoint")}.`,
    );
    if (entry.samples < entry.all_samples) {
      parts.push("The images are those whose requests are spread most evenly; as many as the page has room for.");
    }
    if (entry.steps.length < entry.all_steps) {
      parts.push("The checkpoints lie close together where the mix of outcomes changes.");
    }
    parts.push("The curves rest on all checkpoints, and the shares on all images.");
  }
  box.replaceChildren(paragraph(lines.join(" ")), paragraph(parts.join(" ")));
}

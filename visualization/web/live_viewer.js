/*
 * The lesson and the attention page, opened from the live page in a dialog that covers it.
 *
 * live.html holds both pages without data. The data are computed for the text on the live page. A page and its data
 * make a Blob, which a frame shows.
 */

"use strict";

const viewer = byId("viewer");

/** Show a page with its data and a URL fragment in the dialog, under a title. */
function showPage(name, data, fragment, title) {
  const [before, after] = JSON.parse(document.querySelector(`[data-page="${name}"]`).textContent);
  const url = URL.createObjectURL(new Blob([before, jsonInHtml(data), after], { type: "text/html" }));
  const frame = element("iframe", { src: `${url}#${fragment}`, title });
  const remove = () => {
    frame.remove();
    URL.revokeObjectURL(url);
  };
  frame.addEventListener("load", () => frame.focus()); // so that the keys of the page work at once
  viewer.addEventListener("close", remove, { once: true });
  viewer.append(frame);
  byId("viewer-title").textContent = title;
  viewer.showModal(); // when it closes, the browser gives the focus back to the button that opened it
}

/** Open the lesson of the chosen head. It is about the trained network: the changes are left out. */
function openLesson() {
  const { kind, layer, head } = state;
  const { untouched } = results;
  const { tgt } = untouched;
  const { src } = untouched.inputs;
  const title = hasChanges() ? "Lesson of the untouched network" : "Lesson";
  request({ type: "lesson", src, tgt, kind, layer }, ({ numbers }) => {
    if (results.untouched !== untouched || viewer.open) return; // the user has gone on
    const data = lessonData(describeSentence(tokenizer, src, tgt), kind, layer, numbers);
    showPage("lesson.html", data, `step=scores&head=${head}`, title);
  });
}

/** Open the attention page of the shown network at the chosen kind, layer and head. */
function openAttention() {
  const { inputs, tgt, pass } = shownResult();
  const title = hasChanges() ? `Attention of the ${state.network} network` : "Attention";
  const start = String(new URLSearchParams({ k: state.kind, l: state.layer, h: state.head }));
  const data = attentionData(config, describeSentence(tokenizer, inputs.src, tgt), pass, title, start);
  showPage("attention.html", data, start, title);
}

/** Draw the buttons that open the pages, and which network they show. */
function drawPageButtons() {
  byId("open-lesson").disabled = !results.untouched?.pass;
  byId("open-attention").disabled = !shownResult()?.pass;
  byId("pages-note").hidden = !hasChanges();
  byId("pages-note").textContent =
    "The lesson computes the untouched network and its translation, without the changes. " +
    `The attention page shows the ${state.network} network.`;
}

byId("open-lesson").addEventListener("click", openLesson);
byId("open-attention").addEventListener("click", openAttention);
byId("viewer-close").addEventListener("click", () => viewer.close());
window.addEventListener("message", ({ source, data }) => {
  if (source === viewer.querySelector("iframe")?.contentWindow && data === UNUSED_ESCAPE) viewer.close();
});
viewer.addEventListener("keydown", (event) => event.stopPropagation()); // Escape closes nothing behind the dialog

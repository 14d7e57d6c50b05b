// A question before what cannot be taken back.

/** Promises whether it was agreed to; Escape is no. The focus is on "Cancel", so that a key too many does nothing. */
export function agreed(dialog, title, text, yes) {
  const [yesButton, noButton] = [".yes", ".no"].map((name) => dialog.querySelector(name));
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = text;
  yesButton.textContent = yes;
  yesButton.onclick = () => dialog.close("yes");
  noButton.onclick = () => dialog.close("no");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

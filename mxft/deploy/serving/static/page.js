// The page of mxft serve: a picture that is dropped, chosen or pasted is posted as it is, and its classes are shown.
"use strict";

const byId = id => document.getElementById(id);
const maxBytes = Number(document.body.dataset.maxBytes);
let asked = 0;  // only the answer to the latest picture is shown

function show({ status = "", error = "", classes = [], outputs = [] }) {
  byId("status").textContent = status;
  byId("error").textContent = error;
  byId("error").hidden = !error;
  const lists = outputs.length ? outputs.flatMap(each => [heading(each), ...each.classes.map(row)]) : classes.map(row);
  byId("classes").replaceChildren(...lists);
  byId("classes").hidden = !lists.length;
  byId("answer").scrollIntoView({ block: "nearest" });  // on a telephone it lies below the picture
}

function heading({ output, kind }) {
  const item = document.createElement("li");
  item.className = "output";
  item.textContent = `${output}, ${kind}`;
  return item;
}

function row({ name, probability, value, said }) {
  const item = document.createElement("li"), bar = document.createElement("div"), ink = document.createElement("i");
  const label = document.createElement("span"), share = document.createElement("data");
  label.className = "name";
  label.textContent = name;
  share.className = "probability";
  share.value = probability ?? value;
  share.textContent = probability === undefined ? value.toPrecision(6) : (100 * probability).toFixed(2) + "%";
  item.append(label, share);
  if (said === false)  // of several labels, one that stays below its threshold
    item.className = "unsaid";
  if (probability === undefined)
    return item;
  bar.className = "bar";
  bar.ariaHidden = "true";
  ink.style.width = 100 * probability + "%";
  bar.append(ink);
  item.append(bar);
  return item;
}

function preview(file) {
  const image = byId("preview");
  URL.revokeObjectURL(image.src);
  image.removeAttribute("src");
  image.alt = file?.name ? `your picture, ${file.name}` : "your picture";
  image.onload = () => seen(true);
  seen(false);
  if (file)
    image.src = URL.createObjectURL(file);  // a TIFF, which browsers do not show, leaves the invitation standing
}

function seen(picture) {
  byId("preview").hidden = !picture;
  byId("invitation").hidden = picture;
  byId("choose").textContent = picture ? "Choose another picture" : "Choose a picture";
}

async function ask(files) {
  const number = ++asked;
  preview(files.length === 1 ? files[0] : null);
  if (files.length !== 1)
    return show({ error: files.length ? `One picture at a time, please: these are ${files.length} files.`
                                      : "There was no picture in that. Save it as a file first, then drop the file." });
  const file = files[0], name = file.name || "Pasted picture";
  if (file.size > maxBytes)
    return show({ status: name, error: `This file is too large: ${maxBytes / 1e6} MB are the most that is taken.` });
  show({ status: `Looking at ${name} …` });
  let answer;
  try {
    const response = await fetch("predict", { method: "POST", body: file,
                                              headers: { "Content-Type": file.type || "application/octet-stream" } });
    answer = await response.json();
  } catch {
    answer = { error: "The service does not answer. Is mxft serve still running?" };
  }
  if (number !== asked)
    return undefined;
  if (answer.error)
    return show({ status: name, error: answer.error });
  const { width, height } = answer.image;
  const far = answer.novelty?.said ? `It is ${answer.novelty.said}. ` : "";
  return show({ classes: answer.classes, outputs: answer.outputs,
                status: `${far}${name}: ${width} × ${height} pixels, named in ${Math.round(answer.milliseconds)} ms` });
}

byId("file").addEventListener("change", event => {
  if (event.target.files.length)
    ask([...event.target.files]);
  event.target.value = "";  // so that the same file can be chosen again
});
document.addEventListener("paste", event => ask([...event.clipboardData.files]));
for (const kind of ["dragenter", "dragover"])
  document.addEventListener(kind, event => { event.preventDefault(); byId("drop").classList.add("over"); });
document.addEventListener("dragleave", event => {
  if (!event.relatedTarget)
    byId("drop").classList.remove("over");
});
document.addEventListener("drop", event => {  // anywhere: a picture beside the field would open in place of the page
  event.preventDefault();
  byId("drop").classList.remove("over");
  ask([...event.dataTransfer.files]);
});

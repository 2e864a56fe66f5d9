// The face page of mxft serve: pictures are posted as they are, faces are drawn where they were found.
"use strict";

const maxBytes = Number(document.body.dataset.maxBytes);
const files = {};  // the latest picture of each field
let asked = 0;     // only the answer to the latest question is shown

const byId = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function show(field, file) {
  const seen = field.querySelector(".seen"), image = seen.querySelector("img");
  URL.revokeObjectURL(image.src);
  image.removeAttribute("src");
  image.alt = file.name ? `your picture, ${file.name}` : "your picture";
  image.onload = () => { seen.hidden = false; field.querySelector(".invitation").hidden = true; };
  image.src = URL.createObjectURL(file);  // a TIFF, which browsers do not show, leaves the invitation standing
  draw(field, []);
}

function draw(field, faces) {
  const image = field.querySelector("img"), svg = field.querySelector("svg");
  const width = image.naturalWidth || 1, height = image.naturalHeight || 1;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...faces.filter(face => face.box).flatMap((face, number) => {
    const [left, top, right, bottom] = face.box, rect = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top }))
      rect.setAttribute(name, value);
    if (face.name === "unknown")
      rect.setAttribute("class", "unknown");
    if (!face.name)
      return [rect];
    const text = document.createElementNS(SVG, "text"), size = Math.max(width, height) / 22;
    text.textContent = number + 1;  // names would cover each other; the list below has them
    text.setAttribute("x", left);
    text.setAttribute("y", top > size ? top - size * 0.25 : bottom + size);
    text.setAttribute("font-size", size);
    return [rect, text];
  }));
}

function say(id, text, error = false) {
  const place = byId(id);
  place.textContent = text;
  place.classList.toggle("error", error);
}

async function post(address, body, headers = {}) {
  try {
    const response = await fetch(address, { method: "POST", body, headers });
    return await response.json();
  } catch {
    return { error: "The service does not answer. Is mxft serve still running?" };
  }
}

async function who(file) {
  const number = ++asked;
  byId("who-list").hidden = true;
  say("who-answer", `Looking at ${file.name || "the picture"} …`);
  const answer = await post("identify", file, { "Content-Type": file.type || "application/octet-stream" });
  if (number !== asked)
    return;
  if (answer.error) {
    say("who-answer", answer.error, true);
    return;
  }
  const count = answer.faces.length;
  say("who-answer", `${count} ${count === 1 ? "face" : "faces"}, in ${Math.round(answer.milliseconds)} ms`);
  draw(byId("who"), answer.faces);
  byId("who-list").replaceChildren(...answer.faces.map(row));
  byId("who-list").hidden = false;
  byId("who-answer").scrollIntoView({ block: "nearest" });
}

function row(face, number) {
  const item = document.createElement("li"), name = document.createElement("span");
  const cosine = document.createElement("data"), others = document.createElement("small");
  name.className = "name";
  name.textContent = `${number + 1}  ${face.name.replaceAll("_", " ")}`;
  item.classList.toggle("unknown", face.name === "unknown");
  const shown = face.name === "unknown" ? face.nearest : face.nearest.slice(1);
  cosine.value = face.nearest[0].cosine;
  cosine.textContent = face.name === "unknown" ? "" : face.nearest[0].cosine.toFixed(3);
  others.textContent = shown.length ? `${face.name === "unknown" ? "nearest" : "next"}: ${shown.map(
    each => `${each.name.replaceAll("_", " ")} ${each.cosine.toFixed(3)}`).join(", ")}` : "";
  item.append(name, cosine, others);
  return item;
}

async function pair() {
  const number = ++asked, form = new FormData();
  form.append("first", files.left);
  form.append("second", files.right);
  say("pair-answer", "Comparing …");
  const answer = await post("verify", form);
  if (number !== asked)
    return;
  if (answer.error) {
    say("pair-answer", answer.error, true);
    return;
  }
  answer.faces.forEach((face, i) => draw(byId(["left", "right"][i]), [face]));
  const told = document.createElement("span"), verdict = document.createElement("b");
  told.textContent = `cosine ${answer.cosine.toFixed(3)}, squared distance ${answer.squared_distance.toFixed(3)}`;
  say("pair-answer", "");
  if (answer.same !== null) {
    verdict.className = answer.same ? "same" : "different";
    verdict.textContent = answer.same ? "The same person: " : "Different people: ";
    byId("pair-answer").append(verdict);
  }
  byId("pair-answer").append(told);
  byId("pair-answer").scrollIntoView({ block: "nearest" });
}

function take(field, given) {
  const place = field.id === "who" ? "who-answer" : "pair-answer";
  if (given.length !== 1) {
    say(place, given.length ? `One picture at a time, please: these are ${given.length} files.`
                            : "There was no picture in that. Save it as a file first, then drop the file.", true);
    return;
  }
  const file = given[0];
  if (file.size > maxBytes) {
    say(place, `This file is too large: ${maxBytes / 1e6} MB are the most that is taken.`, true);
    return;
  }
  files[field.id] = file;
  show(field, file);
  if (field.id === "who")
    who(file);
  else if (files.left && files.right)
    pair();
  else
    say("pair-answer", "Now the other picture.");
}

for (const field of document.querySelectorAll(".drop")) {
  field.querySelector("input").addEventListener("change", event => {
    if (event.target.files.length)
      take(field, [...event.target.files]);
    event.target.value = "";  // so that the same file can be chosen again
  });
  for (const kind of ["dragenter", "dragover"])
    field.addEventListener(kind, event => { event.preventDefault(); field.classList.add("over"); });
  field.addEventListener("dragleave", event => {
    if (!field.contains(event.relatedTarget))
      field.classList.remove("over");
  });
  field.addEventListener("drop", event => {
    event.preventDefault();
    field.classList.remove("over");
    take(field, [...event.dataTransfer.files]);
  });
}
for (const kind of ["dragover", "drop"])  // a picture dropped beside a field would open in place of the page
  document.addEventListener(kind, event => event.preventDefault());

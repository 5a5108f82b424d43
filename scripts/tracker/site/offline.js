// From disk, a page may load scripts but not JSON: provide asv's JSON files from one script that contains them all.
"use strict";
if (location.protocol === "file:") {
  const files = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "offline_data.js";
    script.onload = () => resolve(window.offlineFiles);
    script.onerror = reject;
    document.head.append(script);
  });
  $.ajax = ({ url }) => {
    const request = $.Deferred();
    const path = decodeURIComponent(url.split("?")[0]);
    files.then((found) => (path in found ? request.resolve(found[path]) : request.reject()), request.reject);
    return request.promise();
  };
}

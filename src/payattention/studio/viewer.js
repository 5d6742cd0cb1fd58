// Draws what the server said of a picture.
var payattention = (() => {
  function show(element, props, trigger, watch) {
    const draw = () => { element.querySelector(".pa-viewer").textContent = props.value ? props.value.slice(0, 300) : ""; };
    watch("value", draw);
    draw();
  }
  return {show};
})();

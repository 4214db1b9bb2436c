import "./more.css";

export const text = "more of the first";

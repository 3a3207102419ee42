// On a narrow screen the navigation is wider than the page: show the link of the page one is on.
document
  .querySelector('.muster-nav [aria-current="page"]')
  ?.scrollIntoView({ block: "nearest", inline: "center" });

// Runs before the first paint, so that a chosen theme never flashes as the other one.
try {
  const chosen = localStorage.getItem('pelton.theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch {
  // Storage can be blocked; the system's theme is then used.
}

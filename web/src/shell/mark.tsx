/** The sign: a wheel of four buckets around a bronze hub. */
export function Mark({ className = 'size-8' }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" className={className} aria-hidden>
      <rect width="32" height="32" rx="8" fill="#0b5f5a" />
      <g fill="none" stroke="#e9f5f2" strokeWidth="3.2" strokeLinecap="round">
        <path d="M16 6.2a9.8 9.8 0 0 1 8.2 4.4" />
        <path d="M25.7 14.2a9.8 9.8 0 0 1-3.4 9.2" />
        <path d="M19.4 25.2a9.8 9.8 0 0 1-9.6-1.6" />
        <path d="M7 19.8a9.8 9.8 0 0 1 1.2-9.6" />
      </g>
      <circle cx="16" cy="16" r="3.4" fill="#f0a267" />
    </svg>
  )
}

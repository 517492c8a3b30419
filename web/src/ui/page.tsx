/** The frame of a page: heading, actions, cards and lists of facts. */
import { ChevronLeft } from 'lucide-react'
import { type ReactNode, useEffect } from 'react'
import { Link } from 'react-router'

interface PageProps {
  title: string
  heading?: ReactNode
  description?: ReactNode
  actions?: ReactNode
  back?: { to: string; label: string }
  children: ReactNode
}

export function Page({ title, heading, description, actions, back, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Pelton`
  }, [title])
  return (
    <div className="mx-auto flex w-full max-w-[1240px] flex-col gap-5 px-4 py-6 sm:px-6 lg:px-8 lg:py-8">
      <header className="flex flex-col gap-3 sm:flex-row sm:items-start sm:justify-between">
        <div className="min-w-0">
          {back && (
            <Link to={back.to} className="mb-1 -ml-1 inline-flex items-center gap-0.5 rounded text-sm text-ink-3 hover:text-ink">
              <ChevronLeft className="size-4" aria-hidden />
              {back.label}
            </Link>
          )}
          <h1 className="text-2xl font-semibold break-words">{heading ?? title}</h1>
          {description && <div className="mt-1 max-w-[88ch] text-sm text-pretty text-ink-2">{description}</div>}
        </div>
        {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </header>
      {children}
    </div>
  )
}

interface CardProps {
  title?: ReactNode
  actions?: ReactNode
  children: ReactNode
  className?: string
  flush?: boolean
}

export function Card({ title, actions, children, className = '', flush = false }: CardProps) {
  return (
    <section className={`min-w-0 rounded-xl border border-line bg-surface shadow-card ${className}`}>
      {title && (
        <div className="flex flex-wrap items-center justify-between gap-2 px-4 pt-3.5 pb-1">
          <h2 className="text-sm font-semibold text-ink">{title}</h2>
          {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
        </div>
      )}
      <div className={flush ? '' : 'px-4 pt-2 pb-4'}>{children}</div>
    </section>
  )
}

export type Fact = [label: string, value: ReactNode]

/** Label and value, in as many columns as fit. Facts whose value is null are left out. */
export function Facts({ facts, columns = 'grid-cols-2 sm:grid-cols-3 lg:grid-cols-4' }: { facts: Fact[]; columns?: string }) {
  return (
    <dl className={`grid gap-x-6 gap-y-3 ${columns}`}>
      {facts
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([label, value]) => (
          <div key={label} className="min-w-0">
            <dt className="text-xs text-ink-3">{label}</dt>
            <dd className="num mt-0.5 text-sm font-medium break-words">{value}</dd>
          </div>
        ))}
    </dl>
  )
}

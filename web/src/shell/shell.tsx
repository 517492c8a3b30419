/** The frame around every page: navigation, theme, session, and what is shown while a page loads. */
import { LogOut, Menu as MenuIcon, X } from 'lucide-react'
import { Suspense, useEffect, useState, useSyncExternalStore } from 'react'
import { NavLink, Outlet, useLocation } from 'react-router'
import { apiKey, onApiKeyChange, setApiKey } from '../api/client'
import { SkeletonRows } from '../ui/states'
import { Login } from './login'
import { Mark } from './mark'
import { SECTIONS } from './sections'
import { useServer } from './server-queries'
import { ShortcutHelp, useGoTo } from './shortcuts'
import { ThemeSwitch } from './theme-switch'
import { useRejectedKey } from './session'

export function Shell() {
  const key = useSyncExternalStore(onApiKeyChange, apiKey)
  const rejected = useRejectedKey()
  const server = useServer()
  const helpOpen = useGoTo()
  if ((server.data?.auth_required && !key) || rejected) return <Login rejected={rejected && key !== null} />
  // Whether a key is needed is not known yet; pages would only collect refusals.
  if (server.isPending && !key) return <SkeletonRows rows={4} />
  return (
    <div className="min-h-dvh lg:grid lg:grid-cols-[14.5rem_1fr]">
      <a
        href="#content"
        className="sr-only z-50 rounded-lg bg-accent px-4 py-2 text-accent-ink focus:not-sr-only focus:fixed focus:top-3 focus:left-3"
      >
        Skip to content
      </a>
      <Navigation signedIn={key !== null} />
      <main id="content" tabIndex={-1} className="min-w-0 outline-none">
        {server.isError && (
          <p role="alert" className="border-b border-bad bg-bad-soft px-4 py-2 text-center text-sm">
            The server does not answer. What you see may be out of date; this page tries again by itself.
          </p>
        )}
        <Suspense fallback={<SkeletonRows rows={8} />}>
          <Outlet />
        </Suspense>
      </main>
      {helpOpen.open && <ShortcutHelp onClose={helpOpen.close} />}
    </div>
  )
}

function Navigation({ signedIn }: { signedIn: boolean }) {
  const [openAt, setOpenAt] = useState<string | null>(null)
  const { pathname } = useLocation()
  const open = openAt === pathname
  const server = useServer()
  useEffect(() => {
    if (!open) return undefined
    const close = (event: KeyboardEvent) => event.key === 'Escape' && setOpenAt(null)
    window.addEventListener('keydown', close)
    return () => window.removeEventListener('keydown', close)
  }, [open])
  return (
    <header className="sticky top-0 z-30 border-line bg-surface max-lg:border-b lg:flex lg:h-dvh lg:flex-col lg:border-r">
      <div className="flex h-14 items-center gap-2.5 px-4 lg:h-16">
        <NavLink to="/" className="flex items-center gap-2.5 rounded-lg" aria-label="Pelton, overview">
          <Mark className="size-8" />
          <span className="text-lg font-semibold tracking-tight">Pelton</span>
        </NavLink>
        <span className="flex-1" />
        <ThemeSwitch />
        <button
          type="button"
          className="rounded-lg p-2 text-ink-2 hover:bg-sunken lg:hidden"
          aria-expanded={open}
          aria-controls="navigation"
          aria-label="Menu"
          onClick={() => setOpenAt(open ? null : pathname)}
        >
          {open ? <X className="size-5" aria-hidden /> : <MenuIcon className="size-5" aria-hidden />}
        </button>
      </div>
      <nav id="navigation" aria-label="Main" className={`flex-1 overflow-y-auto px-2.5 pb-3 lg:block ${open ? 'block' : 'hidden'}`}>
        <ul className="flex flex-col gap-0.5">
          {SECTIONS.map(({ to, label, icon: Icon }) => (
            <li key={to}>
              <NavLink
                to={to}
                end={to === '/'}
                className="flex items-center gap-2.5 rounded-lg px-2.5 py-2 text-sm font-medium text-ink-2 hover:bg-sunken hover:text-ink aria-[current=page]:bg-accent-soft aria-[current=page]:text-accent-strong"
              >
                <Icon className="size-4.5 shrink-0" aria-hidden />
                {label}
              </NavLink>
            </li>
          ))}
        </ul>
      </nav>
      <div className={`border-t border-line px-4 py-3 text-xs text-ink-3 lg:block ${open ? 'block' : 'hidden'}`}>
        <div className="flex items-center justify-between gap-2">
          <span className="min-w-0 truncate">
            {server.data ? (
              <>
                <span className="font-medium text-ink-2">{server.data.project.name}</span> · {server.data.version}
              </>
            ) : (
              'connecting…'
            )}
          </span>
          {signedIn && (
            <button
              type="button"
              className="rounded p-1 hover:bg-sunken hover:text-ink"
              aria-label="Sign out"
              title="Sign out"
              onClick={() => setApiKey(null, false)}
            >
              <LogOut className="size-4" aria-hidden />
            </button>
          )}
        </div>
        <p className="mt-1 max-lg:hidden">
          Press <kbd className="rounded border border-line px-1">?</kbd> for shortcuts
        </p>
      </div>
    </header>
  )
}

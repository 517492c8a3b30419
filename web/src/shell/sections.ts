/** The sections of the console, in the order of the wheel. */
import { Activity, Database, FlaskConical, GitBranch, LayoutDashboard, type LucideIcon, Package, Scale, Settings } from 'lucide-react'

export interface Section {
  to: string
  label: string
  icon: LucideIcon
  /** The letter that, after g, goes there. */
  key: string
}

export const SECTIONS: Section[] = [
  { to: '/', label: 'Overview', icon: LayoutDashboard, key: 'o' },
  { to: '/endpoints', label: 'Endpoints', icon: GitBranch, key: 'e' },
  { to: '/traces', label: 'Traces', icon: Activity, key: 't' },
  { to: '/datasets', label: 'Datasets', icon: Database, key: 'd' },
  { to: '/training', label: 'Training', icon: FlaskConical, key: 'r' },
  { to: '/evaluations', label: 'Evaluations', icon: Scale, key: 'v' },
  { to: '/models', label: 'Models & releases', icon: Package, key: 'm' },
  { to: '/settings', label: 'Keys & audit', icon: Settings, key: 's' },
]

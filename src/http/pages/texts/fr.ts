// The texts of the pages in French, with the formal address. No line ends before a colon (U+00A0), or the other signs that
// are set off (U+202F).
import type { Texts } from './en.ts';

export const fr: Texts = {
  lang: 'fr',
  dir: 'ltr',
  foot: 'Valetkey garde les clés de vos comptes connectés.',
  form: {
    tryAgain: 'Réessayer',
    optional: '(facultatif)',
    example: 'Par exemple\u00a0: {example}.',
    error: 'Erreur\u00a0: {message}',
    check: 'Veuillez vérifier votre saisie',
    noCookie:
      'Votre navigateur n’a pas envoyé le cookie de cette page, sans lequel il est impossible de continuer. Autorisez les cookies de ce site, puis réessayez.',
    required: '{field}\u00a0: ce champ est obligatoire',
    invalid: '{field}\u00a0: la valeur saisie n’est pas valide',
    requiredExample: '{field}\u00a0: ce champ est obligatoire, par exemple {example}',
    invalidExample: '{field}\u00a0: la valeur saisie n’est pas valide\u202f; exemple\u00a0: {example}',
  },
  stub: {
    whoAsks: 'Demandé par',
    onBehalfOf: 'Au nom de',
    accountAt: 'Compte chez',
    connectedAs: 'Connecté en tant que',
    whatHappened: 'Ce qui s’est passé',
    reference: 'Référence',
  },
  confirm: {
    heading: 'Connectez votre compte {provider} à {app}',
    lead: '{app} demande l’accès à votre compte {provider}. {provider} vous invite à vous identifier et à donner votre accord\u202f; ensuite, {app} pourra utiliser le compte pour la personne qui a créé ce lien, même en votre absence.',
    leadFor:
      '{app} demande, au nom de {owner}, l’accès à votre compte {provider}. {provider} vous invite à vous identifier et à donner votre accord\u202f; ensuite, {app} pourra utiliser le compte pour {owner}, même en votre absence.',
    caution:
      'Ne continuez que si vous avez vous-même lancé cette opération dans {app}. Si quelqu’un vous a envoyé ce lien, votre compte serait connecté pour cette personne\u00a0: fermez alors cette fenêtre.',
    whereIsAccount: '{provider} doit savoir où trouver votre compte.',
    go: 'Continuer vers {provider}',
  },
  picker: {
    heading: 'Choisissez un compte à connecter à {app}',
    lead: '{app} demande l’accès à l’un de vos comptes. Après votre accord, {app} pourra utiliser le compte pour la personne qui a créé ce lien, même en votre absence.',
    leadFor:
      '{app} demande, au nom de {owner}, l’accès à l’un de vos comptes. Après votre accord, {app} pourra utiliser le compte pour {owner}, même en votre absence.',
    choices: 'Où se trouve votre compte\u202f?',
    another: 'Choisir un autre compte',
  },
  credentials: {
    lead: '{app} demande l’accès à votre compte {provider}. Avec ce que vous saisissez ici, {app} pourra utiliser le compte pour la personne qui a créé ce lien, même en votre absence.',
    leadFor:
      '{app} demande, au nom de {owner}, l’accès à votre compte {provider}. Avec ce que vous saisissez ici, {app} pourra utiliser le compte pour {owner}, même en votre absence.',
    checked: 'Votre saisie est vérifiée auprès de {provider} et conservée chiffrée. Elle ne sera plus affichée.',
    whereToFind: 'Où trouver ces informations chez {provider} (s’ouvre dans une nouvelle fenêtre)',
    go: 'Vérifier et connecter',
    rejected: '{provider} n’accepte pas ce que vous avez saisi. Rien n’a été enregistré.',
    unexpected: '{provider} a donné une réponse inattendue. Vérifiez votre saisie. Rien n’a été enregistré.',
    unavailable:
      '{provider} ne répond pas pour le moment\u00a0: votre saisie n’a pas pu être vérifiée. Rien n’a été enregistré. Patientez un instant, saisissez-la de nouveau, puis réessayez.',
  },
  connected: {
    title: '{provider} est connecté',
    heading: 'Votre compte {provider} est connecté',
    close: 'Vous pouvez fermer cette fenêtre.',
    back: 'Continuer vers {app}',
  },
  waiting: {
    heading: 'Un instant',
    lead: 'Votre compte est en cours de connexion. Cette page affichera le résultat dès qu’il sera connu.',
    stuck:
      'Si vous avez quitté la page d’identification, ou si rien ne se passe au bout d’une minute, veuillez réessayer.',
  },
  wanted: 'Le compte connecté est {account}.',
  portal: {
    heading: 'Vos comptes connectés',
    welcome:
      'Vous voyez ici lesquels de vos comptes sont connectés à {app}, et vous pouvez les reconnecter ou les déconnecter.',
    caution: 'Ne continuez que si vous venez de {app}. Si quelqu’un vous a envoyé ce lien, fermez cette fenêtre.',
    enter: 'Afficher mes comptes',
    lead: 'Ces comptes sont connectés à {app}.',
    none: 'Aucun compte n’est connecté à {app}.',
    active: 'Connecté',
    needsReauth: 'À reconnecter',
    onHold: 'Suspendu par {provider}',
    since: 'Depuis le',
    account: 'Compte',
    label: 'Nom',
    status: 'État',
    more: 'Afficher la suite',
    reconnect: 'Reconnecter',
    disconnect: 'Déconnecter',
    confirmHeading: 'Déconnecter votre compte {provider}\u202f?',
    confirmLead: 'Dès cet instant, {app} ne pourra plus utiliser le compte. Vous pourrez le reconnecter plus tard.',
    keep: 'Le garder connecté',
    disconnected: 'Le compte {provider} est déconnecté.',
    reconnected: 'Le compte {provider} est connecté.',
    notReconnected: 'Le compte n’a pas été connecté.',
    back: 'Retour à {app}',
  },
  refusals: {
    invalid_state: {
      title: 'Impossible de poursuivre cette identification',
      message: 'La réponse ne correspond à aucune identification en cours dans ce navigateur.',
      advice:
        'Elle est peut-être déjà terminée, ou elle a duré trop longtemps. Si votre compte n’est pas connecté, recommencez depuis l’application d’où vous venez.',
    },
    other_browser: {
      title: 'Veuillez utiliser le navigateur avec lequel vous avez commencé',
      message:
        'Ce lien a d’abord été ouvert dans un autre navigateur, et seul cet autre navigateur peut continuer. Rien n’a été connecté.',
      advice:
        'Revenez à cet autre navigateur, ou demandez un nouveau lien. Si vous n’aviez pas encore ouvert ce lien, ne continuez pas et prévenez la personne qui vous l’a envoyé.',
    },
    invitation_used: {
      title: 'Ce lien a déjà servi',
      message: 'Chaque lien ne fonctionne qu’une seule fois.',
      advice: 'Si votre compte n’est pas connecté, demandez un nouveau lien dans l’application d’où vous venez.',
    },
    invitation_expired: {
      title: 'Ce lien a expiré',
      message: 'Pour votre sécurité, un lien n’est valable que dix minutes. Rien n’a été connecté.',
      advice: 'Demandez un nouveau lien dans l’application d’où vous venez.',
    },
    invitation_cancelled: {
      title: 'Ce lien n’est plus valable',
      message: 'L’application dont il provient l’a annulé. Rien n’a été connecté.',
      advice: 'Demandez un nouveau lien dans l’application d’où vous venez.',
    },
    access_denied: {
      title: 'Vous avez annulé',
      message: 'Vous avez annulé. Rien n’a été connecté.',
      advice:
        'Vous pouvez fermer cette fenêtre. Si vous changez d’avis, recommencez depuis l’application d’où vous venez.',
    },
    provider_error: {
      title: '{provider} a refusé',
      message: '{provider} a refusé de connecter votre compte. Rien n’a été connecté.',
      advice:
        'Il vous manque peut-être les droits nécessaires, ou un administrateur doit d’abord donner son accord. En cas de doute, communiquez la référence ci-dessous aux responsables de l’application.',
    },
    provider_unavailable: {
      title: '{provider} ne répond pas',
      message: '{provider} est injoignable pour le moment. Rien n’a été connecté.',
      advice: 'Patientez quelques minutes, puis recommencez depuis l’application d’où vous venez.',
    },
    invalid_answer: {
      title: 'La réponse n’était pas fiable',
      message:
        'La réponse de {provider} n’a pas satisfait à nos vérifications et n’a pas été utilisée. Rien n’a été connecté.',
      advice:
        'Recommencez depuis l’application d’où vous venez. Si cela se reproduit, communiquez la référence ci-dessous à ses responsables.',
    },
    identity_mismatch: {
      title: 'Il s’agit d’un autre compte',
      message:
        'L’identification chez {provider} s’est faite avec un autre compte que celui qui est connecté. Rien n’a été modifié.',
      advice:
        'Identifiez-vous chez {provider} avec le compte utilisé précédemment. Vous pouvez réessayer, ou demander un nouveau lien plus tard.',
    },
    account_unknown: {
      title: 'Nous n’avons pas pu déterminer de quel compte il s’agit',
      message: '{provider} n’a pas indiqué quel compte a servi à l’identification. Rien n’a été modifié.',
      advice: 'Demandez un nouveau lien, et autorisez tout ce que {provider} vous demande.',
    },
    integration_misconfigured: {
      title: 'La connexion à {provider} n’est pas correctement configurée',
      message: 'Vous n’y êtes pour rien, et réessayer n’y changera rien. Rien n’a été connecté.',
      advice:
        'Communiquez la référence ci-dessous aux responsables de l’application\u00a0: ils doivent corriger ses réglages.',
    },
    connection_gone: {
      title: 'Cette connexion n’existe plus',
      message: 'Elle a été supprimée\u202f; il n’y a donc rien à renouveler.',
      advice: 'Demandez un nouveau lien dans l’application d’où vous venez pour connecter de nouveau votre compte.',
    },
    not_found: {
      title: 'Il n’y a rien ici',
      message: 'Ce lien ne vient pas de nous, ou il est incomplet.',
      advice: 'Copiez le lien en entier, ou demandez-en un nouveau dans l’application d’où vous venez.',
    },
    not_a_navigation: {
      title: 'Ouvrez ce lien dans sa propre fenêtre',
      message:
        'Le lien a été demandé par un aperçu, par une autre page ou à l’avance, et n’a pas été ouvert par une personne.',
      advice: 'Cliquez dessus, ou copiez-le dans la barre d’adresse. Il fonctionne toujours.',
    },
    invalid_form: {
      title: 'Votre saisie n’a pas pu être lue',
      message: 'Le formulaire était endommagé, ou beaucoup trop long. Rien n’a été connecté.',
      advice: 'Revenez en arrière et recommencez plus brièvement. Le lien fonctionne toujours.',
    },
    portal_ended: {
      title: 'Cette page n’est plus disponible',
      message:
        'Pour votre sécurité, la page de vos comptes connectés ne reste ouverte qu’une heure, dans un seul navigateur.',
      advice: 'Ouvrez-la de nouveau depuis l’application d’où vous venez.',
    },
    unavailable: {
      title: 'Trop de demandes en ce moment',
      message: 'Nous ne pouvons pas vérifier cela pour l’instant. Rien n’a été connecté.',
      advice: 'Patientez un instant, puis réessayez. Le lien fonctionne toujours.',
    },
    internal: {
      title: 'Une erreur s’est produite de notre côté',
      message: 'Vous n’y êtes pour rien, et nous ne savons pas si votre compte est maintenant connecté.',
      advice:
        'Vérifiez dans l’application d’où vous venez et, si nécessaire, recommencez. La référence ci-dessous nous aide à trouver la cause.',
    },
    other: {
      title: 'Votre compte n’a pas pu être connecté',
      message: 'Un problème est survenu. Rien n’a été connecté.',
      advice:
        'Recommencez depuis l’application d’où vous venez. Si cela se reproduit, communiquez la référence ci-dessous à ses responsables.',
    },
  },
  theOtherService: 'L’autre service',
};

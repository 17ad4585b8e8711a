// What mdBook does not do for a book in two languages.
(() => {
  // Screen readers and hyphenation go by this attribute; mdBook has one for the whole book.
  if (/\/ru\//.test(location.pathname)) document.documentElement.lang = 'ru';

  // Wide tables scroll by keyboard, too.
  for (const table of document.querySelectorAll('.table-wrapper')) table.tabIndex = 0;

  // The search drops what is no Latin letter, when the index is made and when a word is looked for. So Russian words are put in
  // when the index comes, by their beginning: endings tell cases apart, not subjects.
  const search = window.elasticlunr;
  if (!search) return;
  const { registeredFunctions } = search.Pipeline;
  const english = search.stemmer;
  const ENDING = /(?:иями|ями|ами|ого|его|ому|ему|ыми|ими|иях|ях|ах|ией|ует|ают|яют|ить|ать|ять|еть|ся|[ыи]х|[ыои]й|[аяеюоу]я|[уюо]ю|[ое]е|[ое]м|[ое]в|[ое]й|[иы]е|ам|ям|ия|ии|ию|ие|[аеиоуыюяйь])$/;
  const stem = (word) => (/[а-яё]/.test(word) ? word.replace(ENDING, (ending, at) => (at >= 3 ? '' : ending)) : english(word));
  registeredFunctions.trimmer = (word) => word.replace(/^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu, '');
  registeredFunctions.stemmer = stem;
  search.stemmer = stem;
  const load = search.Index.load;
  search.Index.load = (kept) => {
    const index = load.call(search.Index, kept);
    for (const page of Object.values(kept.index?.documentStore?.docs ?? kept.documentStore.docs))
      if (/[а-яё]/i.test(page.body + page.title)) index.addDoc(page, false);
    return index;
  };
})();
